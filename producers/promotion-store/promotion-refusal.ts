// Why a step of a promotion is not made, and what commands for other experiments may not do to a promotion.
import type { Experiment } from '#domain/experiment/experiment.ts';
import type { LifecycleCommand } from '#domain/experiment/lifecycle.ts';
import { RecordError } from '#platform/errors.ts';
import type { Connection } from '../definition-store/definition-rows.ts';

export type RefusalKind =
  /** The request itself is wrong. */
  | 'invalid'
  /** It names what does not exist. */
  | 'unknown'
  /** It is well-formed, and the present state forbids it. */
  | 'refused'
  /** MLflow could not be asked: the same request may succeed later. */
  | 'unchecked';

/** Thrown, so that the transaction around it is rolled back; the message is for the person who asked. */
export class PromotionRefusal extends RecordError {
  readonly kind: RefusalKind;
  readonly field: string;
  constructor(kind: RefusalKind, field: string, message: string) {
    super(message, { code: 'record-rejected' });
    this.kind = kind;
    this.field = field;
  }
}

type PromotionPlace = 'running' | 'ended' | 'none';

/** Whether the experiment is a promotion, by the ledger. */
async function findPlace(connection: Connection, experimentId: string): Promise<PromotionPlace> {
  const { rows } = await connection.query<{ is_running: boolean }>(
    `SELECT EXISTS (SELECT FROM exp.running_promotions r WHERE r.experiment_id = $1) AS is_running
     FROM exp.promotions l WHERE l.experiment_id = $1 AND l.action = 'start' LIMIT 1`,
    [experimentId],
  );
  const [row] = rows;
  return row === undefined ? 'none' : row.is_running ? 'running' : 'ended';
}

/** Commands that give or take away traffic for good. Stopping is always allowed, and so is a pause. */
const guardedCommands: readonly LifecycleCommand['kind'][] = ['promote', 'restore', 'resume', 'complete'];

/** Why a lifecycle command may not act on the experiment of a promotion; null when it may. */
export async function findLifecycleRefusal(
  connection: Connection,
  { experimentId, experimentKey, status, serving }: Experiment,
  command: LifecycleCommand,
): Promise<string | null> {
  if (!guardedCommands.includes(command.kind)) return null;
  // Ending it without a winner stops it, which is always allowed.
  if (command.kind === 'complete' && command.winner === null && serving.mode !== 'all_to') return null;
  const place = await findPlace(connection, experimentId);
  if (place === 'none') return null;
  if (place === 'running') {
    if (command.kind === 'resume' || command.kind === 'restore') return null;
    return `${experimentKey} is a promotion: \`ops promote finish ${experimentKey}\` delivers the candidate to all, with its record`;
  }
  return status === 'completed'
    ? `${experimentKey} was a promotion: \`ops promote roll-back ${experimentKey}\` takes it back, with its record`
    : `the promotion ${experimentKey} was rolled back, and stays so: \`ops promote start\` begins a new one`;
}

/** Why a definition or a coverage may not be applied to the experiment; null when it is no promotion under way. */
export async function findEditRefusal(connection: Connection, experiment: Experiment): Promise<string | null> {
  const place = await findPlace(connection, experiment.experimentId);
  if (place === 'none' || (place === 'ended' && experiment.status === 'completed')) return null;
  return place === 'running'
    ? `${experiment.experimentKey} is a promotion: its ramp raises the coverage (\`ops promote check ${experiment.experimentKey}\`)`
    : `the promotion ${experiment.experimentKey} was rolled back, and stays so: \`ops promote start\` begins a new one`;
}
