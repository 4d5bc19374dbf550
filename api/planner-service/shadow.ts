// Shadow mode: a candidate plans the same requests after the household has its answer; its plan is compared and not used.
import type { Catalogue } from '#domain/planning/catalogue.ts';
import { planAlignmentScore } from '#domain/planning/plan-scores.ts';
import type { Plan } from '#domain/planning/plan-shape.ts';
import { describeError } from '#platform/errors.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { EventOutlet } from './event-outlet.ts';
import type { InferenceClient } from './inference-client.ts';
import { tryModel } from './make-plan.ts';
import { type ServedPlan, toPlanEvent } from './plan-events.ts';

export type Shadow = {
  /** Returns at once, whatever becomes of it. */
  follow(served: ServedPlan): void;
  /** Gives up those under way: a stop does not wait for what nobody reads. */
  [Symbol.asyncDispose](): Promise<void>;
};

/** Share of the slots for which both plans have the same recipe; 1 for two empty plans. */
export function agreementOf(plan: Plan, other: Plan): number {
  const [mine, theirs] = [plan, other].map(({ slots }) => new Map(slots.map((slot) => [slot.slot_id, slot.recipe_id])));
  const slotIds = [...new Set([...mine!.keys(), ...theirs!.keys()])];
  if (slotIds.length === 0) return 1;
  return slotIds.filter((slotId) => mine!.get(slotId) === theirs!.get(slotId)).length / slotIds.length;
}

export function createShadow(options: {
  model: string | undefined;
  concurrency: number;
  deadlineMs: number;
  inference: InferenceClient;
  outlet: Pick<EventOutlet, 'offer' | 'hasRoom'>;
  nowMs: () => number;
  metrics: Metrics;
  log: Logger;
}): Shadow {
  const { model, concurrency, deadlineMs, inference, outlet, nowMs, metrics, log } = options;
  const outcomes = metrics.counter(
    'planner_shadow_plans_total',
    'Shadow plans by outcome; skipped: too many under way',
    ['outcome'],
  );
  const agreement = metrics.histogram(
    'planner_shadow_agreement_ratio',
    'Share of the slots in which the shadow plans what was served',
    [],
    [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1],
  );
  const seconds = metrics.histogram('planner_shadow_plan_seconds', 'Until a shadow plan is there');
  const underWay = new Set<Promise<void>>();
  let stopped = false;

  const compare = async (served: ServedPlan, catalogue: Catalogue, shadowModel: string): Promise<void> => {
    const startedAt = nowMs();
    const attempt = await tryModel(
      inference,
      { model: shadowModel, deadlineMs, isShadow: true },
      served.request,
      catalogue,
    );
    const latencyMs = nowMs() - startedAt;
    if (stopped) return;
    outcomes.inc({ outcome: attempt.ok ? 'planned' : attempt.reason });
    if (!attempt.ok || !outlet.hasRoom()) return;
    const { plan, interventions } = attempt.planned;
    const agreementRatio = agreementOf(served.made.plan, plan);
    agreement.observe(agreementRatio);
    seconds.observe(latencyMs / 1_000);
    // In no experiment and with names of its own: nothing of it counts as what households got.
    outlet.offer([
      toPlanEvent({ ...served, experiments: [] }, 'plan_shadowed', {
        atMs: Date.parse(served.request.requested_at) + Math.max(1, Math.round(served.latencyMs)),
        metrics: {
          shadow_agreement_ratio: agreementRatio,
          shadow_latency_ms: latencyMs,
          shadow_intervention: interventions > 0 ? 1 : 0,
          shadow_alignment_score: planAlignmentScore(plan, served.request, catalogue),
          served_alignment_score: planAlignmentScore(served.made.plan, served.request, catalogue),
        },
        payload: { plan_id: served.planId, model: shadowModel, plan },
      }),
    ]);
  };

  return {
    follow: (served) => {
      if (model === undefined || served.choice.model === model) return;
      if (underWay.size >= concurrency) {
        outcomes.inc({ outcome: 'skipped' });
        return;
      }
      const work = compare(served, served.catalogue, model)
        .catch((error: unknown) => {
          outcomes.inc({ outcome: 'failed' });
          log.error({ err: error, cause: describeError(error) }, 'a shadow plan failed');
        })
        .finally(() => underWay.delete(work));
      underWay.add(work);
    },
    [Symbol.asyncDispose]: async () => {
      stopped = true;
    },
  };
}
