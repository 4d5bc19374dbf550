// What became of each event as far as its sender knows: acknowledged, rejected, or unknown.

export type Outcome = 'acknowledged' | 'rejected' | 'unknown';

export type LedgerEntry = {
  readonly eventId: string;
  /** `event_id/event_date`, under which the stores know it; of events that are rejected for their time it means nothing. */
  readonly identity: string;
  readonly unit: string;
  outcome: Outcome;
  /** Ticks of the ledger: when the event was sent for the first time, and when it was first acknowledged. */
  readonly firstSentAt: number;
  acknowledgedAt: number | null;
  /** Sent on purpose so that some group cannot use it; it is an effect of the others. */
  readonly isOdd: boolean;
};

export type Ledger = {
  /** Before an event is sent for the first time; again for repetitions, which change nothing. */
  sent(event: { eventId: string; identity: string; unit: string; isOdd?: boolean }): void;
  /** After each answer. An acknowledgement is for ever, and what was once unknown can only become acknowledged. */
  answered(eventId: string, outcome: Outcome): void;
  entries(): readonly LedgerEntry[];
  count(outcome: Outcome): number;
};

export function createLedger(): Ledger {
  const entries = new Map<string, LedgerEntry>();
  /** Events of which some try is unknown: a refusal of another try says nothing about that one. */
  const doubtful = new Set<string>();
  let tick = 0;
  return {
    sent: ({ eventId, identity, unit, isOdd = false }) => {
      tick += 1;
      if (entries.has(eventId)) return;
      // Until the answer is there, nobody knows.
      entries.set(eventId, {
        eventId,
        identity,
        unit,
        isOdd,
        outcome: 'unknown',
        firstSentAt: tick,
        acknowledgedAt: null,
      });
    },
    answered: (eventId, outcome) => {
      const entry = entries.get(eventId);
      if (entry === undefined) throw new Error(`${eventId} was never sent`);
      tick += 1;
      if (outcome === 'acknowledged') {
        entry.outcome = 'acknowledged';
        entry.acknowledgedAt ??= tick;
        return;
      }
      if (outcome === 'unknown') doubtful.add(eventId);
      if (entry.outcome !== 'acknowledged') entry.outcome = doubtful.has(eventId) ? 'unknown' : outcome;
    },
    entries: () => [...entries.values()],
    count: (outcome) => [...entries.values()].filter((entry) => entry.outcome === outcome).length,
  };
}
