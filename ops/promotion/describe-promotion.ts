// Promotions in the words of the command line: what a look did, how a promotion stands, its ledger; pure.
import { formatBasisPoints } from '#domain/assignment/basis-points.ts';
import { formatNumber } from '#domain/results/format-results.ts';
import type { CalibrationRow } from '#producers/promotion-store/calibration.ts';
import type { Look } from '#producers/promotion-store/look-at-promotion.ts';
import { toLookDocument, toPromotionDocument } from '#producers/promotion-store/promotion-document.ts';
import type { LedgerRow } from '#producers/promotion-store/promotion-ledger.ts';
import { describeVersion, type Promotion } from '#producers/promotion-store/promotion-state.ts';
import { formatSeconds, formatTable } from '../command-line/output.ts';

const nameOf = ({ experiment, candidateVersion }: Promotion): string =>
  `${experiment.experimentKey} iteration ${experiment.iteration}, ${describeVersion(candidateVersion)}`;

/** What has become of a promotion in one word, and why, one reason a line; `isPreview` while nothing was done. */
function describeDecision(
  { promotion, decision }: Look,
  { isPreview }: { isPreview: boolean },
): { word: string; reasons: readonly string[] } {
  const { experiment, share, isRunning } = promotion;
  const key = experiment.experimentKey;
  const at = `at ${formatBasisPoints(share)} of traffic`;
  switch (decision.action) {
    case 'step': {
      const next = `${formatBasisPoints(decision.share)} of traffic`;
      return isPreview
        ? { word: 'due', reasons: [`the step to ${next}, at the next check`] }
        : { word: `stepped to ${next}`, reasons: [] };
    }
    case 'wait':
      return { word: `waits ${at}`, reasons: decision.reasons };
    case 'hold':
      return {
        word: `holds ${at}`,
        reasons: [...decision.reasons, `to approve: \`ops promote approve ${key} --reason …\``],
      };
    case 'rolled-back':
      return { word: 'rolled back', reasons: decision.reasons };
    case 'done':
      return isRunning
        ? { word: `ready ${at}`, reasons: [...decision.reasons, `to finish: \`ops promote finish ${key} --reason …\``] }
        : { word: 'finished', reasons: decision.reasons };
  }
}

export function describeLook(look: Look): string {
  const { word, reasons } = describeDecision(look, { isPreview: false });
  return [`${nameOf(look.promotion)}: ${word}`, ...reasons.map((reason) => `  ${reason}`)].join('\n');
}

/** All promotions in one table, the latest first. */
export function formatStatus(looks: readonly Look[]): string {
  return formatTable(
    ['promotion', 'iteration', 'candidate', 'traffic', 'state', 'why'],
    looks.map((look) => {
      const { experiment, candidateVersion } = look.promotion;
      const { word, reasons } = describeDecision(look, { isPreview: true });
      const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : '';
      const share = toPromotionDocument(look.promotion).candidate_share;
      return [
        experiment.experimentKey,
        experiment.iteration,
        describeVersion(candidateVersion),
        share,
        word,
        `${reasons[0] ?? ''}${more}`,
      ];
    }),
  );
}

/** One promotion with everything that its next step depends on. */
export function formatPromotion(look: Look, ledger: readonly LedgerRow[]): string {
  const document = toLookDocument(look);
  const { controlVersion, candidateVersion } = look.promotion;
  const { word, reasons } = describeDecision(look, { isPreview: true });
  const hold =
    document.hold_above === null ? 'never' : `above ${document.hold_above}${document.approved ? ', approved' : ''}`;
  const rows: [string, string][] = [
    ['state', word],
    ...reasons.map((reason): [string, string] => ['', reason]),
    ['candidate', describeVersion(candidateVersion)],
    ['control', describeVersion(controlVersion)],
    ['traffic of the candidate', `${document.candidate_share} (steps ${document.steps.join(', ')})`],
    ['holds for approval', hold],
  ];
  if (document.units !== null) {
    const { control, candidate } = document.units;
    rows.push([
      'in this step',
      `${control} units met control and ${candidate} the candidate, of ${document.min_units}; ` +
        `${formatSeconds(document.seconds_in_step ?? 0)} of ${formatSeconds(document.min_seconds)}`,
    ]);
  }
  for (const { metric, text } of document.guardrails) rows.push([`guardrail ${metric}`, text]);
  const table = formatTable(['', ''], rows).split('\n').slice(1).join('\n');
  return `${look.promotion.experiment.experimentKey} iteration ${document.iteration}\n${table}\n\n${formatLedger(ledger)}`;
}

const stateWords = (state: Record<string, unknown>): string =>
  Object.entries(state)
    .map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`)
    .join(', ');

export function formatLedger(rows: readonly LedgerRow[]): string {
  return formatTable(
    ['at', 'by', 'action', 'policy version', 'model', 'experiment', 'from', 'to', 'why'],
    rows.map((row) => [
      row.at,
      row.actor,
      row.action,
      row.policy_version,
      row.model,
      row.experiment_key === null ? null : `${row.experiment_key}/${row.iteration}`,
      stateWords(row.from_state),
      stateWords(row.to_state),
      typeof row.evidence.forced === 'string' ? `${row.reason} (forced: ${row.evidence.forced})` : row.reason,
    ]),
  );
}

/** What happened in MLflow, or that it has yet to follow; null when there is nothing to tell. */
const formatDifference = (value: number | null): string | null =>
  value === null ? null : `${value > 0 ? '+' : value < 0 ? '−' : ''}${formatNumber(Math.abs(value), 3)}`;

/** Prediction and effect side by side, and how often they pointed the same way. */
export function formatCalibration(rows: readonly CalibrationRow[]): string {
  const table = formatTable(
    [
      'promotion',
      'model',
      'gate',
      'ended by',
      'offline score',
      'predicted',
      'online metric',
      'measured',
      'same direction',
    ],
    rows.map((row) => [
      `${row.experiment_key}/${row.iteration}`,
      row.model,
      row.verdict ?? 'none',
      row.ended_by,
      row.offline_score,
      formatDifference(row.offline_difference),
      row.online_metric,
      formatDifference(row.online_difference),
      row.same_direction === null ? 'unknown' : row.same_direction ? 'yes' : 'no',
    ]),
  );
  const known = rows.filter(({ same_direction }) => same_direction !== null);
  const right = known.filter(({ same_direction }) => same_direction === true).length;
  return `${table}\n\n${right} of ${known.length} predictions that can be compared pointed the same way`;
}
