// `npm run fuzz -- [--examples N] [--seed N]`: the services as processes on a stack of their own, fuzzed one after the other.
import { parseArgs } from 'node:util';
import { deployLocally } from '#infra/system/bring-up.ts';
import { deriveLocalAccess } from '#infra/system/local-access.ts';
import { startPlanner } from '#infra/system/planner.ts';
import { type ProcessName, processSpecs } from '#infra/system/process-specs.ts';
import { startSystem } from '#infra/system/system.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { writeDomainRows } from '#producers/planner-traffic/write-domain-rows.ts';
import { startTemporaryStack } from '#tests/support/temporary-stack.ts';
import { fuzzService } from './fuzzer.ts';
import { knownOfPlanner, plannerRows } from './known-household.ts';

/** Nobody listens there: the inference process is fuzzed without a model. */
const noMlflow = { url: 'http://127.0.0.1:9' };

function readCount(name: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new Error(`--${name} must be a whole number from 1, not ${text}`);
  return count;
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      examples: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(1 + Math.floor(Math.random() * 1_000_000)) },
    },
  });
  const examples = readCount('examples', values.examples);
  const seed = readCount('seed', values.seed);
  const report = (text: string): void => void process.stderr.write(`${text}\n`);
  report('starting a local stack and the services');
  await using stack = await startTemporaryStack();
  const { endpoints, localDir } = stack;
  await deployLocally(endpoints);
  const pool = createPostgresPool({ url: endpoints.postgres.superuserUrl, poolSize: 1, applicationName: 'fuzz' });
  await writeDomainRows(pool, plannerRows).finally(() => pool.end());
  const doors: readonly ProcessName[] = ['assignment-service', 'ingestion-service'];
  await using system = await startSystem({
    endpoints,
    localDir,
    ports: 'free',
    replicas: Object.fromEntries(processSpecs.map(({ name }) => [name, doors.includes(name) ? 1 : 0])),
    onUnexpectedEnd: report,
  });
  const urlOf = (name: ProcessName): string => system.process(name).url;
  await using planner = await startPlanner({
    endpoints: { ...endpoints, mlflow: noMlflow },
    localDir,
    assignmentUrl: urlOf('assignment-service'),
    ingestionUrl: urlOf('ingestion-service'),
    ports: 'free',
    onProgress: report,
    onUnexpectedEnd: report,
  });
  const { adminKey, ingestKey } = deriveLocalAccess(endpoints);
  const services = [
    { name: 'assignment-service', url: urlOf('assignment-service'), apiKey: adminKey, known: {} },
    { name: 'ingestion-service', url: urlOf('ingestion-service'), apiKey: ingestKey, known: {} },
    { name: 'planner-service', url: planner.service.url, apiKey: ingestKey, known: knownOfPlanner },
    { name: 'planner-inference', url: planner.inference.url, apiKey: '', known: {}, mayBeBusy: true },
  ];
  let passed = true;
  for (const { name, ...service } of services) {
    report(`${name}: ${examples} random requests per operation, seed ${seed}`);
    const onOutput = (text: string): void => void process.stdout.write(text);
    const result = await fuzzService({ ...service, examples, seed, onOutput });
    report(`${name}: ${result.caseCount} requests, ${result.passed ? 'as documented' : 'see above'}`);
    passed &&= result.passed;
  }
  return passed;
}

process.exitCode = (await main()) ? 0 : 1;
