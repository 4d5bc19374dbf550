// What a kind of vector file is, and a tally that turns single comparisons into its report.

/** Outcome of one vector file; `failures` names failed cases, at most as many as are useful to a person. */
export type VectorReport = { passed: number; failed: number; failures: string[] };

/** One kind of vector file, recognized by its exact file name. `run` may throw when the content has another format. */
export type VectorKind = { fileName: string; run(content: unknown): VectorReport };

export type VectorTally = {
  /** Counts one case. The description is made only when it failed. */
  check(passed: boolean, describe: () => string): void;
  /** Counts one case whose evaluation may throw; a throw is a failure that shows its message. */
  attempt(name: string, evaluate: () => boolean | string): void;
  report(): VectorReport;
};

const SHOWN_FAILURES = 20;

/** Creates an empty tally. `attempt` takes true for passed, false for failed, or a text that says what differs. */
export function createVectorTally(): VectorTally {
  const report: VectorReport = { passed: 0, failed: 0, failures: [] };
  const check = (passed: boolean, describe: () => string): void => {
    if (passed) {
      report.passed += 1;
      return;
    }
    report.failed += 1;
    if (report.failures.length < SHOWN_FAILURES) report.failures.push(describe());
  };
  return {
    check,
    attempt(name, evaluate) {
      let outcome: boolean | string;
      try {
        outcome = evaluate();
      } catch (error) {
        outcome = `threw ${error instanceof Error ? error.message : String(error)}`;
      }
      check(outcome === true, () => (typeof outcome === 'string' ? `${name}: ${outcome}` : name));
    },
    report: () => report,
  };
}
