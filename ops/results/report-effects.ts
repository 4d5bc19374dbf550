// Tables of effects in the report: one row per metric, or per segment, each with its interval drawn on a shared axis.
import {
  describeGuardrail,
  formatChange,
  formatCount,
  formatInterval,
  formatNumber,
  formatPValue,
  verdictOf,
  verdictWords,
} from '#domain/results/format-results.ts';
import type { ExperimentResults, MetricReport, TreatmentComparison } from '#domain/results/results.ts';
import { isComputed } from '#domain/statistics/result.ts';
import { axisLimit, drawInterval, drawIntervalAxis, escapeHtml } from './report-chart.ts';

type Row = { readonly metric: MetricReport; readonly comparison: TreatmentComparison };

/** Metrics on the relative scale share an axis; one in units of its own has an axis of its own. */
export function renderEffects(results: ExperimentResults, rows: readonly Row[]): string {
  const relative = rows.filter(({ metric }) => metric.definition.scale === 'relative');
  const limit = axisLimit(
    relative.flatMap(({ comparison }) => (isComputed(comparison.effect) ? [comparison.effect.interval] : [])),
  );
  const treatment = rows[0]?.comparison.name ?? '';
  return `<div class="card"><table><thead><tr><th>metric</th><th class="number">${escapeHtml(results.control.name)}</th>
<th class="number">${escapeHtml(treatment)}</th><th>effect with its interval</th><th></th><th class="number">p</th><th>verdict</th></tr></thead>
<tbody>${rows.map((row) => renderRow(row, limit)).join('')}
${relative.length === 0 ? '' : `<tr><td></td><td></td><td></td><td>${drawIntervalAxis(limit, (value) => formatChange(value, 'relative'))}</td><td></td><td></td><td></td></tr>`}</tbody></table></div>`;
}

function renderRow({ metric, comparison }: Row, sharedLimit: number): string {
  const { effect, guardrail, corrected, bayesian, varianceReduction } = comparison;
  const verdict = verdictOf(metric.definition, effect);
  const roles = metric.roles.map((role) => `<span class="role">${role}</span>`).join('');
  const unit = metric.definition.unit === null ? '' : ` ${metric.definition.unit}`;
  const valueIn = (variantId: string | undefined): string => {
    const value = metric.values.find((one) => one.variantId === variantId)?.value;
    return value !== undefined && isComputed(value) ? escapeHtml(`${formatNumber(value.value)}${unit}`) : '–';
  };
  const words = [`<span class="${verdict}">${verdictWords[verdict]}</span>`];
  if (isComputed(bayesian))
    words.push(`<small>chance to be better ${formatNumber(100 * bayesian.chanceToWin, 3)} %</small>`);
  if (corrected !== null) words.push(`<small>corrected p ${formatPValue(corrected.adjustedPValue)}</small>`);
  if (varianceReduction !== null)
    words.push(`<small>covariate: ${formatNumber(100 * varianceReduction, 2)} % less variance</small>`);
  if (guardrail !== null) {
    const { state, text } = describeGuardrail(guardrail);
    words.push(`<small class="${state}">guardrail ${escapeHtml(text)}</small>`);
  }
  return `<tr><td>${escapeHtml(metric.name)}${roles}${metric.definition.description === null ? '' : `<small>${escapeHtml(metric.definition.description)}</small>`}</td>
<td class="number">${valueIn(metric.values[0]?.variantId)}</td><td class="number">${valueIn(comparison.variantId)}</td>${renderEffect(metric, comparison, verdict, sharedLimit)}<td class="verdict">${words.join('')}</td></tr>`;
}

function renderEffect(
  metric: MetricReport,
  comparison: TreatmentComparison,
  verdict: string,
  sharedLimit: number,
): string {
  const { effect, guardrail } = comparison;
  if (!isComputed(effect)) return `<td colspan="3" class="soft">${escapeHtml(effect.detail)}</td>`;
  const { scale, estimate, interval, pValue } = effect;
  const bound = guardrail === null ? undefined : guardrail.harmful === 'increase' ? guardrail.bound : -guardrail.bound;
  const limit = scale === 'relative' ? sharedLimit : axisLimit([interval, { lower: bound ?? 0, upper: bound ?? 0 }]);
  const drawn = drawInterval({
    interval,
    estimate,
    limit,
    verdict,
    ...(bound === undefined ? {} : { bound }),
    label: `${metric.name}: ${formatInterval(interval, scale)}`,
  });
  return `<td>${drawn}</td><td class="number">${formatChange(estimate, scale)}<small>${escapeHtml(formatInterval(interval, scale))}</small></td><td class="number">${formatPValue(pValue)}</td>`;
}

/** Segments of a metric, corrected together; the sentence says whether they differ at all. */
export function renderSegments(metric: MetricReport, { segments }: TreatmentComparison): string {
  return segments
    .filter(({ segments: ofAttribute }) => ofAttribute.length > 0)
    .map(({ attribute, segments: ofAttribute, heterogeneity }) => {
      const intervals = ofAttribute.flatMap(({ result }) => (isComputed(result) ? [result.interval] : []));
      const limit = axisLimit(intervals);
      const differ = isComputed(heterogeneity)
        ? heterogeneity.pValue < 0.05
          ? `the effect differs between the segments (p ${formatPValue(heterogeneity.pValue)})`
          : `no sign that the effect differs between the segments (p ${formatPValue(heterogeneity.pValue)})`
        : `whether the effect differs cannot be told: ${heterogeneity.detail}`;
      const rows = ofAttribute.map(({ segment, units, result }) => {
        if (!isComputed(result)) {
          return `<tr><td>${escapeHtml(segment)}</td><td class="number">${formatCount(units)}</td><td colspan="3" class="soft">${escapeHtml(result.detail)}</td></tr>`;
        }
        const { interval, estimate, scale, adjustedPValue, significant } = result;
        const verdict = significant ? verdictOf(metric.definition, result) : 'unclear';
        return `<tr><td>${escapeHtml(segment)}</td><td class="number">${formatCount(units)}</td><td>${drawInterval({ interval, estimate, limit, verdict, label: segment })}</td><td class="number">${formatChange(estimate, scale)}<small>${escapeHtml(formatInterval(interval, scale))}</small></td><td class="number">${formatPValue(adjustedPValue)}</td></tr>`;
      });
      return `<h3>${escapeHtml(metric.name)} by ${escapeHtml(attribute)}</h3><p class="soft">${escapeHtml(differ)}; p-values are corrected for looking at ${ofAttribute.length} segments.</p>
<div class="card"><table><thead><tr><th>${escapeHtml(attribute)}</th><th class="number">units</th><th>effect with its interval</th><th></th><th class="number">corrected p</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
    })
    .join('');
}
