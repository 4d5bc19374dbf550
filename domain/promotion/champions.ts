// Which model version was in production when, folded from the rows of the ledger.

/** What the ledger says of one policy version at one time, in the order of the ledger. */
export type StatusChange = {
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly reason: string;
  readonly policyVersion: string;
  readonly model: string;
  /** The status that the policy version has from then on; null when the row does not change it. */
  readonly status: string | null;
};

/** In production in [from, to); `to` is null while it is. */
export type Reign = {
  readonly model: string;
  readonly policyVersion: string;
  readonly from: string;
  readonly to: string | null;
  /** Of the row that began it. */
  readonly action: string;
  readonly actor: string;
  readonly reason: string;
};

/** The times in production, in the order of their beginnings. */
export function listReigns(changes: readonly StatusChange[]): Reign[] {
  const reigns: Reign[] = [];
  for (const { at, actor, action, reason, policyVersion, model, status } of changes) {
    if (status === null) continue;
    const open = reigns.findIndex((reign) => reign.policyVersion === policyVersion && reign.to === null);
    if (status === 'production') {
      if (open === -1) reigns.push({ model, policyVersion, from: at, to: null, action, actor, reason });
    } else if (open !== -1) reigns[open] = { ...reigns[open]!, to: at };
  }
  return reigns;
}

/** Those that were in production at an instant. */
export function selectReigns(reigns: readonly Reign[], atMs: number): Reign[] {
  return reigns.filter(({ from, to }) => Date.parse(from) <= atMs && (to === null || Date.parse(to) > atMs));
}
