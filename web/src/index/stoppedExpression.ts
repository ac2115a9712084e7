/** What is said of an expression that was ended. */
export const TOO_LONG =
  "This expression takes too long on these lines and was stopped. Leave out repetition within repetition, such as (a+)+, or search for a text.";
