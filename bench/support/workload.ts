// The events that benchmarks send: seeded, in sessions as people make them, with a share of real planner payloads.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createCatalogueFromSource } from '#domain/planning/catalogue.ts';
import { repositoryRoot } from '#infra/local/local-dir.ts';
import type { Pool } from '#platform/postgres/pool.ts';
import { simulateTraffic } from '#producers/planner-traffic/simulate-traffic.ts';
import { simulateWorld } from '#producers/planner-traffic/world.ts';
import type { EventRecord } from '#schemas/generated/records.ts';

export const benchExperiment = {
  id: '6f1c1c0a-6c5e-5f7e-9a44-0a5c1f6a2b10',
  key: 'bench',
  variants: [
    { id: '0b54d7a5-21f3-5c3e-8f37-5d1f2f9f8a01', name: 'control' },
    { id: '7e0c7d1c-93ab-5b55-8e0e-3b9f64f6d202', name: 'candidate' },
  ],
} as const;

export const benchUnitType = 'household';

export type WorkloadOptions = {
  readonly count: number;
  /** Each session is of one of so many units, chosen at random. */
  readonly units: number;
  /** Of 1,000 events, how many belong to a plan: one half plans, one half their acceptances. 0 by default. */
  readonly plansPerThousand?: number;
  /** Event time of the first event; the others follow evenly within two hours. */
  readonly startMs: number;
  readonly seed?: number;
};

type Random = () => number;

/** Linear congruential: quick, the same everywhere, and good enough to spread ids. */
function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
}

const hexByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function drawUuid(random: Random): string {
  let text = '';
  for (let index = 0; index < 16; index += 1) {
    text += hexByte[Math.floor(random() * 256)]!;
    if (index === 3 || index === 5 || index === 7 || index === 9) text += '-';
  }
  return text;
}

/** A session begins with an exposure and has five more events, within about ten minutes of the two hours. */
const eventsPerSession = 6;
const sessionMs = 600_000;
const spanMs = 7_200_000;

type Session = { readonly unit: number; eventsLeft: number };
type PlanTemplate = { readonly planId: string; readonly generated: string; readonly reaction: string };

/** Payloads of simulated plans with the acceptance or edit that followed. */
function createPlanTemplates(): PlanTemplate[] {
  const recipes = JSON.parse(readFileSync(join(repositoryRoot, 'data/recipes.json'), 'utf8'));
  const catalogue = createCatalogueFromSource(recipes);
  const world = simulateWorld({ seed: 1, households: 40, days: 21, start: '2026-01-05', catalogue });
  const generated = new Map<string, string>();
  const templates: PlanTemplate[] = [];
  for (const event of simulateTraffic({ world, effects: {}, assign: () => [] })) {
    const planId = (event.payload as { plan_id?: string } | undefined)?.plan_id;
    if (planId === undefined) continue;
    if (event.event_type === 'plan_generated') generated.set(planId, JSON.stringify(event.payload));
    else if (event.event_type === 'plan_accepted' && generated.has(planId)) {
      templates.push({ planId, generated: generated.get(planId)!, reaction: JSON.stringify(event.payload) });
    }
  }
  return templates;
}

function drawUnits({ units, seed }: WorkloadOptions): { random: Random; unitIds: string[] } {
  const random = createRandom(seed ?? 7);
  return { random, unitIds: Array.from({ length: units }, () => drawUuid(random)) };
}

const variantOf = (unit: number) => benchExperiment.variants[unit % 2]!;

/** Stores the assignment of every unit that the events of these options are about, as the assignment service would have done. */
export async function storeAssignments(pool: Pool, options: WorkloadOptions): Promise<void> {
  const { unitIds } = drawUnits(options);
  await pool.query(
    `INSERT INTO exp.assignments (experiment_id, unit_id, unit_type, variant_id, hash_bucket, experiment_version, probability,
       enrolment_share, source)
     SELECT $1, unit_id, $2, variant_id, 1, 1, 0.5, 1, 'imported' FROM unnest($3::text[], $4::uuid[]) AS u (unit_id, variant_id)
     ON CONFLICT DO NOTHING`,
    [benchExperiment.id, benchUnitType, unitIds, unitIds.map((_, unit) => variantOf(unit).id)],
  );
  await pool.query('VACUUM ANALYZE exp.assignments');
}

/** The same options give the same events with the same ids, one by one, so that any number fits into memory. */
export function* createEvents(options: WorkloadOptions): Generator<EventRecord> {
  const { random, unitIds } = drawUnits(options);
  const planStep = options.plansPerThousand === undefined ? 0 : Math.round(1_000 / options.plansPerThousand);
  const templates = planStep === 0 ? [] : createPlanTemplates();
  let openPlan: { planId: string; template: PlanTemplate; unit: number } | undefined;
  let plans = 0;
  const startSession = (): Session => ({ unit: Math.floor(random() * options.units), eventsLeft: eventsPerSession });
  const atOnce = Math.max(1, Math.round((options.count / eventsPerSession) * (sessionMs / spanMs)));
  const sessions = Array.from({ length: atOnce }, startSession);

  for (let serial = 0; serial < options.count; serial += 1) {
    const eventTime = options.startMs + Math.floor((spanMs * serial) / options.count);
    const place = Math.floor(random() * sessions.length);
    const session = sessions[place]!;
    const toEvent = (unit: number, rest: Pick<EventRecord, 'event_type' | 'metrics' | 'payload'>): EventRecord => ({
      event_id: drawUuid(random),
      unit_type: benchUnitType,
      unit_id: unitIds[unit]!,
      experiments: [{ experiment_id: benchExperiment.id, variant_id: variantOf(unit).id }],
      context: { country: 'NL', position: 3, returning: random() < 0.5 },
      event_time: eventTime,
      ingest_time: eventTime + 40,
      producer: 'bench',
      ...rest,
    });
    if (planStep > 0 && serial % planStep === 0) {
      if (openPlan === undefined) {
        const template = templates[plans % templates.length]!;
        plans += 1;
        openPlan = { planId: drawUuid(random), template, unit: session.unit };
        const payload = template.generated.replaceAll(template.planId, openPlan.planId);
        yield toEvent(openPlan.unit, {
          event_type: 'plan_generated',
          metrics: { latency_ms: random() * 900 },
          payload,
        });
      } else {
        const payload = openPlan.template.reaction.replaceAll(openPlan.template.planId, openPlan.planId);
        yield toEvent(openPlan.unit, { event_type: 'plan_accepted', metrics: { accepted: 1 }, payload });
        openPlan = undefined;
      }
      continue;
    }
    yield toEvent(
      session.unit,
      session.eventsLeft === eventsPerSession
        ? { event_type: 'exposure', metrics: {}, payload: null }
        : {
            event_type: 'step_ended',
            metrics: { converted: random() < 0.2 ? 1 : 0, duration_s: Math.round(random() * 6_000) / 10 },
            payload: null,
          },
    );
    session.eventsLeft -= 1;
    if (session.eventsLeft === 0) sessions[place] = startSession();
  }
}
