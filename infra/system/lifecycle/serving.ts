// Households that get their plans from the planner service, so that the models that are ramped really serve.
import { createHttpPlannerPort } from '#producers/planner-traffic/planner-port.ts';
import { runServedTraffic, type ServedTrafficResult } from '#producers/planner-traffic/served-traffic.ts';
import { simulateWorld } from '#producers/planner-traffic/world.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { waitUntilCaughtUp } from '../caught-up.ts';
import { type Planner, startPlanner } from '../planner.ts';
import { policyName, readCatalogue, workloadPort } from './data-stages.ts';
import type { Place } from './place.ts';
import type { Story } from './story.ts';

export type Serving = {
  readonly planner: Planner;
  /** New households ask for their plans of a week and answer them; gives what was served. */
  sendHouseholds(households: number): Promise<ServedTrafficResult>;
};

/** Each round has households of its own: a step of a ramp counts only units that it has enrolled. */
const firstSeed = 1_000;
const servedStart = '2026-10-05';
const servedDays = 7;

/** The planner service and the inference process beside the system; they load the versions that running experiments name. */
export async function startServing(
  place: Place,
  story: Story,
  options: { resources: AsyncDisposableStack; onUnexpectedEnd: (message: string) => void },
): Promise<Serving> {
  const { endpoints, localDir, system, access, pool, kafka } = place;
  const planner = options.resources.use(
    await startPlanner({
      endpoints,
      localDir,
      assignmentUrl: system.process('assignment-service').url,
      ingestionUrl: system.process('ingestion-service').url,
      overrides: { POLICY_NAME: policyName, POLICY_REFRESH_MS: '500' },
      ports: 'free',
      onProgress: story.progress,
      onUnexpectedEnd: options.onUnexpectedEnd,
    }),
  );
  const port = createHttpPlannerPort({ plannerUrl: planner.service.url, apiKey: access.ingestKey });
  let rounds = 0;
  // A run that is begun again asks for other plans than the one before it.
  const begun = Date.now();
  return {
    planner,
    sendHouseholds: async (households) => {
      const seed = firstSeed + rounds;
      rounds += 1;
      const run = `lifecycle-${begun}-${rounds}`;
      const world = simulateWorld({
        seed,
        households,
        days: servedDays,
        start: servedStart,
        catalogue: readCatalogue(),
      });
      await writeDomainRows(pool, world.rows);
      const result = await runServedTraffic(
        {
          world,
          effects: {},
          run,
          concurrency: 8,
          onProgress: ({ step, done }) => {
            if (done % 100 === 0) story.progress(`${done} ${step}`);
          },
        },
        { planner: port, workload: workloadPort(place) },
      );
      await waitUntilCaughtUp({ kafka, pool, wanted: ['postgres-sink', 'metrics-aggregator'] });
      return result;
    },
  };
}

/** Who planned how many plans, such as "410 by rule-based, 38 by planner_model/1". */
export const describePlans = ({ plans, householdsByVariant }: ServedTrafficResult): string => {
  const parts = (counts: Readonly<Record<string, number>>, word: string): string =>
    Object.entries(counts)
      .map(([name, count]) => `${count} ${word} ${name}`)
      .join(', ');
  return `${plans.total} plans: ${parts(plans.byPlanner, 'by')}; households: ${parts(householdsByVariant, 'in')}`;
};
