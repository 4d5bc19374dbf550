// `npm run lifecycle`: the whole loop of a model on real components: log, dataset, training, gate, ramp, production, and back by lineage.
import { relative, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { cacheDir } from '../../local/local-dir.ts';
import { describeError, StackError } from '../../local/stack-error.ts';
import { buildDataset, hasPast, logThePast, putRulesIntoProduction } from './data-stages.ts';
import { showLineage } from './lineage-stages.ts';
import { learn, learnNothing, learnToo } from './model-stages.ts';
import { startPlace } from './place.ts';
import { endPromotions, findPromoted, promote, refuse, rollBack } from './promotion-stages.ts';
import { startServing } from './serving.ts';
import { createStory } from './story.ts';

const parseHouseholds = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 100) throw new InvalidArgumentError('expected a number of 100 or more');
  return value;
};

const options = new Command('npm run lifecycle --')
  .description(
    'Show the whole life of a model: three models, one that is promoted, one that the gate stops, one that is rolled back',
  )
  .option(
    '--folder <path>',
    'data of the stack that it starts, removed at the start',
    resolve(cacheDir, '..', 'lifecycle'),
  )
  .option('--households <count>', 'simulated households of the past', parseHouseholds, 800)
  .option('--resume', 'go on with the data of a run that was broken off: finished jobs are not done again', false)
  .option('--keep', 'leave everything running at the end until Ctrl-C, to look at it', false)
  .parse()
  .opts<{ folder: string; households: number; resume: boolean; keep: boolean }>();

const localDir = resolve(options.folder);
/** As a person in the repository would write it. */
const shownFolder = relative(process.cwd(), localDir).startsWith('..') ? localDir : relative(process.cwd(), localDir);

const failure = Promise.withResolvers<never>();
failure.promise.catch(() => undefined);
const interrupted = Promise.withResolvers<void>();
let isOver = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (isOver) interrupted.resolve();
    else failure.reject(new StackError('interrupted: everything that was started is stopped'));
  });
}

const story = createStory(
  (line) => void process.stdout.write(`${line}\n`),
  (line) => void process.stderr.write(`${line}\n`),
  () => performance.now(),
);

const onUnexpectedEnd = (message: string): void => failure.reject(new StackError(message));

async function run(resources: AsyncDisposableStack): Promise<void> {
  story.stage(
    'Everything starts',
    `Kafka, Postgres, S3, a schema registry, Redis, MLflow and our own processes, in ${shownFolder}, on free ports: nothing that runs elsewhere is disturbed.`,
  );
  const place = await startPlace({
    localDir,
    wipe: !options.resume,
    story,
    resources,
    onUnexpectedEnd,
  });
  story.tell(`MLflow: ${place.endpoints.mlflow!.url}`);
  story.tell(`commands below work in another terminal after: export TRIALSTREAM_LOCAL_DIR=${shownFolder}`);
  if (!(options.resume && (await hasPast(place)))) {
    await putRulesIntoProduction(place, story);
    await logThePast(place, story, options.households);
  }
  const { datasetVersion } = await buildDataset(place, story);
  const good = await learn(place, story, datasetVersion);
  if (options.resume) await endPromotions(place);
  const serving = await startServing(place, story, { resources, onUnexpectedEnd });
  const promoted = options.resume ? await findPromoted(place, good) : null;
  const assignment = promoted ?? (await promote(place, story, serving, good));
  await refuse(place, story, await learnNothing(place, story, datasetVersion));
  await rollBack(place, story, serving, { slow: await learnToo(place, story, datasetVersion), good });
  await showLineage(place, story, assignment, good);
}

const resources = new AsyncDisposableStack();
try {
  await Promise.race([run(resources), failure.promise]);
  process.exitCode = story.end() ? 0 : 1;
  isOver = true;
  if (options.keep) {
    process.stdout.write('Left running; Ctrl-C stops everything.\n');
    await Promise.race([interrupted.promise, failure.promise]);
  }
} catch (error) {
  story.check(`no stage is broken off: ${describeError(error)}`, false);
  story.end();
  process.exitCode = 1;
}
await resources.disposeAsync().catch((error: unknown) => void process.stderr.write(`${describeError(error)}\n`));
// Lifelines stop what could not be stopped in order; open handles of clients must not keep this process.
process.exit();
