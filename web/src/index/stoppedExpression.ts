/** What the viewer says about an expression that was ended. */
export const STOPPED_EXPRESSION =
  "This expression took too long on these lines and was stopped. Avoid nested repetition, such as (a+)+, or search for plain text.";
