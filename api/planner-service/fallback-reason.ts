// Why a plan was not made as it was meant to be.

export const fallbackReasons = [
  /** The model did not answer within the deadline. */
  'timeout',
  /** The inference process cannot be reached, or failed. */
  'unavailable',
  /** It failed several times in a row and is left alone for a moment. */
  'circuit-open',
  /** It has too much to do, or too little memory for it. */
  'busy',
  /** There is no such model version. */
  'unknown-model',
  /** The answer was none to this request, or its plan broke a rule that could have been kept. */
  'invalid-answer',
  /** INFERENCE_URL is not set. */
  'no-inference',
  /** The variant names a policy version that this policy does not have: the one in production plans. */
  'unknown-policy-version',
  /** config_defaults or params hold a value out of bounds: the version plans without them. */
  'invalid-parameters',
] as const;
export type FallbackReason = (typeof fallbackReasons)[number];
