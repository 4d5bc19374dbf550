// `npm run fuzz -- [--examples N] [--seed N]`: both services as processes on a stack of their own, fuzzed one after the other.
import { parseArgs } from 'node:util';
import { deployLocally } from '#infra/system/bring-up.ts';
import { deriveLocalAccess } from '#infra/system/local-access.ts';
import { type ProcessName, processSpecs } from '#infra/system/process-specs.ts';
import { startSystem } from '#infra/system/system.ts';
import { startTemporaryStack } from '#tests/support/temporary-stack.ts';
import { fuzzService } from './fuzzer.ts';

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
  report('starting a local stack and both services');
  await using stack = await startTemporaryStack();
  await deployLocally(stack.endpoints);
  const services: readonly ProcessName[] = ['assignment-service', 'ingestion-service'];
  await using system = await startSystem({
    endpoints: stack.endpoints,
    localDir: stack.localDir,
    ports: 'free',
    replicas: Object.fromEntries(processSpecs.map(({ name }) => [name, services.includes(name) ? 1 : 0])),
    onUnexpectedEnd: report,
  });
  const { adminKey, ingestKey } = deriveLocalAccess(stack.endpoints);
  let passed = true;
  for (const name of services) {
    report(`${name}: ${examples} random requests per operation, seed ${seed}`);
    const result = await fuzzService({
      url: system.process(name).url,
      apiKey: name === 'assignment-service' ? adminKey : ingestKey,
      examples,
      seed,
      onOutput: (text) => process.stdout.write(text),
    });
    report(`${name}: ${result.caseCount} requests, ${result.passed ? 'as documented' : 'see above'}`);
    passed &&= result.passed;
  }
  return passed;
}

process.exitCode = (await main()) ? 0 : 1;
