/** What the viewer says about an expression that was ended. */
export const STOPPED_EXPRESSION =
  "This expression takes too long on these lines and was stopped. Leave out repetition within repetition, such as (a+)+, or search for a text.";
