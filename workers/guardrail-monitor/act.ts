// Stops an experiment whose guardrail is broken: enrolment and delivery, the latch, audit and outbox in one transaction.

import { planLifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { inTransaction, type Pool } from '#platform/postgres/pool.ts';
import { changeCurrent } from '#producers/definition-store/change-definition.ts';
import { recordRollBack } from '#producers/promotion-store/promotion-ledger.ts';
import type { Violation } from './find-violation.ts';

export type ActOutcome =
  | 'stopped'
  /** The experiment is not what it was when it was judged: the next look judges it anew. */
  | 'changed'
  /** Another action on it is not cleared yet. */
  | 'latched'
  /** Another monitor has taken over. */
  | 'fenced';

const uniqueViolation = '23505';

/**
 * Acts once: the compare-and-set on version and status refuses what a ramp or an operator changed since, the unique latch a second
 * action, the epoch a monitor that lost its place.
 */
export async function stopExperiment(pool: Pool, violation: Violation, epoch: bigint): Promise<ActOutcome> {
  const { experiment, variantId, metric, evidence, summary } = violation;
  const author = { actor: 'guardrail-monitor', reason: `guardrail broken: ${summary}` };
  try {
    return await inTransaction(pool, async (tx): Promise<ActOutcome> => {
      // Sharing the row's lock keeps a successor from taking over before the commit.
      const lease = await tx.query('SELECT FROM exp.guardrail_lease WHERE epoch = $1 FOR SHARE', [epoch]);
      if (lease.rowCount !== 1) return 'fenced';
      const latch = await tx.query(
        'SELECT FROM exp.guardrail_actions WHERE experiment_id = $1 AND cleared_at IS NULL',
        [experiment.experimentId],
      );
      if (latch.rowCount !== 0) return 'latched';
      const result = await changeCurrent(
        tx,
        {
          keyOrId: experiment.experimentId,
          expectedVersion: experiment.version,
          author,
        },
        'experiment.guardrail-stop',
        (current) => {
          if (current.status !== experiment.status || current.serving.mode !== experiment.serving.mode) {
            return { status: 'refused', problems: [{ field: 'status', message: `is ${current.status}` }] };
          }
          const plan = planLifecycleCommand(current, { kind: 'halt' });
          return plan.status === 'refused'
            ? { status: 'refused', problems: [{ field: 'status', message: plan.message }] }
            : plan;
        },
      );
      if (result.status !== 'changed') return 'changed';
      await tx.query(
        `INSERT INTO exp.guardrail_actions (experiment_id, experiment_version, variant_id, metric_name, evidence)
         VALUES ($1, $2, $3, $4, $5)`,
        [
          experiment.experimentId,
          result.experiment.version,
          variantId,
          metric,
          JSON.stringify({ ...evidence, summary }),
        ],
      );
      // A promotion ends with it: what the candidate had, and why it lost it.
      await recordRollBack(tx, result.experiment, {
        author,
        evidence: { guardrail: { metric, variant: violation.variantName, ...evidence, summary } },
      });
      return 'stopped';
    });
  } catch (error) {
    if ((error as { code?: unknown }).code === uniqueViolation) return 'latched';
    throw error;
  }
}
