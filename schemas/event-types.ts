// Event types with rules of their own. Other event types are accepted as they come: experiments optional, payload free.

export type EventTypeRule = {
  readonly purpose: string;
  readonly experimentsRequired: boolean;
  /** The unit met the variant: starts the unit's analysis in experiments with explicit exposure. */
  readonly isExposure: boolean;
};

export const eventTypes: Readonly<Record<string, EventTypeRule>> = {
  exposure: { purpose: 'The unit met the variants it names', experimentsRequired: true, isExposure: true },
  impression: { purpose: 'An item was shown (Open Bandit workload)', experimentsRequired: true, isExposure: false },
  plan_generated: {
    purpose: 'A planner made a plan; the payload carries request, plan and propensities',
    experimentsRequired: false,
    isExposure: false,
  },
  plan_accepted: { purpose: 'The household took the plan as it was', experimentsRequired: false, isExposure: false },
  plan_edited: {
    purpose: 'The household changed the plan; the payload carries the final plan',
    experimentsRequired: false,
    isExposure: false,
  },
};
