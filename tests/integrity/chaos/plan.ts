// What breaks in one seed, and in which order: lanes that run side by side, each a list of steps; the same seed plans the same.
import { createRandom, drawInteger, drawOne, drawSome, type Random } from '#domain/planning/seeded-random.ts';
import type { ProcessName } from '#infra/system/process-specs.ts';
import { topics } from '#schemas/topics.ts';
import type { LinkState } from './fault-link.ts';
import type { AimedAction } from './faults.ts';
import type { Dependency, MomentKey } from './moments.ts';

export type ComponentName = 'kafka' | 'postgres' | 'objectStore' | 'schemaRegistry';

export type Step =
  | { kind: 'aim'; group: ProcessName; moment: MomentKey; action: AimedAction; freezeMs: number; downMs: number }
  | { kind: 'kill' | 'terminate'; group: ProcessName; pick: number; downMs: number }
  | { kind: 'freeze'; group: ProcessName; pick: number; ms: number }
  | { kind: 'isolate'; group: ProcessName; pick: number }
  | { kind: 'scale'; group: ProcessName; members: number }
  | { kind: 'disturb'; group: ProcessName | 'everyone'; dependency: Dependency; state: LinkState; ms: number }
  | { kind: 'restart'; component: ComponentName; signal: 'SIGKILL' | 'stop'; downMs: number }
  | { kind: 'wait'; ms: number };

export type SeedPlan = {
  readonly seed: number;
  readonly client: 'kafkajs' | 'platformatic';
  readonly replicas: Readonly<Partial<Record<ProcessName, number>>>;
  readonly startAtFirst: Readonly<Partial<Record<ProcessName, number>>>;
  /** Aimed and blind faults. */
  readonly lanes: readonly (readonly Step[])[];
  /** What follows them: real components end, while members die. Aims would wait in vain while the broker is away. */
  readonly afterwards: readonly (readonly Step[])[];
};

export const groups = topics.events.groups as readonly ProcessName[] & typeof topics.events.groups;

/** Longer than a rebalance needs to be noticed, so that a frozen member has been replaced when it goes on. */
const longFreezeMs = 9_000;
const shuffle = <T>(random: Random, list: readonly T[]): T[] => drawSome(random, list, list.length);
const downMs = (random: Random): number => drawInteger(random, 0, 1_500);

function aim(random: Random, group: ProcessName, moment: MomentKey, action: AimedAction): Step {
  return {
    kind: 'aim',
    group,
    moment,
    action,
    downMs: downMs(random),
    freezeMs: drawOne(random, [1_500, longFreezeMs]),
  };
}

/** A fault without aim: any member, any time. */
function blind(random: Random, group: ProcessName): Step {
  const pick = random();
  return drawOne<Step>(random, [
    { kind: 'kill', group, pick, downMs: downMs(random) },
    { kind: 'terminate', group, pick, downMs: downMs(random) },
    { kind: 'freeze', group, pick, ms: drawOne(random, [700, 2_500, longFreezeMs]) },
    { kind: 'disturb', group, ...drawDisturbance(random) },
  ]);
}

function drawDisturbance(random: Random): { dependency: Dependency; state: LinkState; ms: number } {
  return {
    dependency: drawOne<Dependency>(random, ['kafka', 'postgres', 'objectStore', 'schemaRegistry']),
    state: drawOne<LinkState>(random, [
      { kind: 'slow', latencyMs: drawInteger(random, 20, 150) },
      { kind: 'narrow', bytesPerSecond: 200_000 },
      { kind: 'silent' },
      { kind: 'cut' },
    ]),
    ms: drawInteger(random, 1_000, 4_000),
  };
}

/** Every moment is aimed at in every seed; which group it hits, and in which order, is drawn. */
export function planSeed(seed: number): SeedPlan {
  const random = createRandom(`chaos/${seed}`);
  const spread = shuffle<readonly [MomentKey, AimedAction]>(random, [
    ['midFlush', drawOne<AimedAction>(random, ['kill', 'freeze'])],
    ['beforeCommit', drawOne<AimedAction>(random, ['kill', 'freeze'])],
    ['deadLetterSent', 'kill'],
    ['midRebalance', drawOne<AimedAction>(random, ['kill', 'freeze'])],
  ]);
  const scaled = drawOne(random, groups);
  const isolated = drawOne(
    random,
    groups.filter((group) => group !== scaled),
  );
  const laneOf = (group: ProcessName, index: number): Step[] => {
    const [moment, action] = spread[index]!;
    const own: Step[] = [
      aim(random, group, moment, action),
      aim(random, group, 'afterCommit', drawOne<AimedAction>(random, ['kill', 'kill', 'lose the answer'])),
    ];
    if (group === 'parquet-archiver') own.push(aim(random, group, 'afterUpload', 'kill'));
    const steps = shuffle(random, own).flatMap<Step>((step) => [
      { kind: 'wait', ms: drawInteger(random, 0, 800) },
      step,
    ]);
    if (group === isolated) return [{ kind: 'isolate', group, pick: random() }, ...steps];
    if (group !== scaled) return [...steps, blind(random, group)];
    // A single member is aimed at, then joined by two others at once, then one of three leaves.
    return [
      ...steps.slice(0, 2),
      { kind: 'scale', group, members: 3 },
      ...steps.slice(2),
      { kind: 'scale', group, members: 2 },
    ];
  };
  const services: Step[] = [
    aim(random, 'ingestion-service', 'eventOnKafka', 'kill'),
    blind(random, 'ingestion-service'),
    aim(random, 'assignment-service', 'outboxPublished', 'kill'),
    blind(random, 'assignment-service'),
  ];
  const components: Step[] = shuffle(random, ['kafka', 'postgres', 'objectStore', 'schemaRegistry'] as const)
    .slice(0, 2)
    .flatMap<Step>((component) => [
      { kind: 'restart', component, signal: drawOne(random, ['SIGKILL', 'stop'] as const), downMs: downMs(random) },
    ]);
  const network: Step[] = [1, 2].flatMap<Step>(() => [
    { kind: 'wait', ms: drawInteger(random, 1_000, 4_000) },
    { kind: 'disturb', group: 'everyone', ...drawDisturbance(random) },
  ]);
  const doubled = drawOne(random, ['ingestion-service', 'assignment-service'] as const);
  return {
    seed,
    client: random() < 0.5 ? 'kafkajs' : 'platformatic',
    replicas: {
      'assignment-service': 1,
      'ingestion-service': 1,
      [doubled]: 2,
      ...Object.fromEntries(groups.map((group) => [group, group === scaled ? 3 : 2])),
    },
    startAtFirst: { [scaled]: 1 },
    lanes: [...shuffle(random, groups).map(laneOf), services, network],
    afterwards: [components, [blind(random, drawOne(random, groups))]],
  };
}
