// The assignment service over HTTP: new units beside single-row inserts by pgbench, stored units beside a bare Fastify route.
import { findInserter, insertSingleRows } from '../baselines/single-row-insert.ts';
import { type Comparison, type Contender, runComparisons } from '../contenders.ts';
import type { Finding } from '../findings.ts';
import type { BenchOptions } from '../options.ts';
import type { BenchStack } from '../support/bench-stack.ts';
import { createTraffic } from '../support/http-traffic.ts';
import { measureServer } from '../support/server-run.ts';

/** Every run begins with no stored assignment. */
async function emptyAssignments({ pool }: BenchStack): Promise<void> {
  await pool.query('TRUNCATE exp.assignments, exp.assignment_outbox');
  await pool.query('CHECKPOINT');
}

export async function measureAssignment(
  bench: BenchStack,
  options: BenchOptions,
  onProgress: (text: string) => void,
): Promise<Finding[]> {
  const comparisons: Comparison[] = [];
  if (options.only.has('assignment-new')) {
    comparisons.push({
      name: 'assignment-new',
      subject: {
        name: 'POST for new units, each row committed',
        unit: 'assignments',
        run: async () => {
          await emptyAssignments(bench);
          return measureServer(bench, options, { traffic: 'new-units', process: 'assignment-service' });
        },
      },
      baseline: insertContender(bench, options),
      bar: 0.5,
    });
  }
  if (options.only.has('assignment-warm')) {
    comparisons.push({
      name: 'assignment-warm',
      subject: {
        name: 'POST for stored units',
        unit: 'assignments',
        run: () => measureServer(bench, options, { traffic: 'stored-units', process: 'assignment-service' }),
      },
      baseline: await bareRouteContender(bench, options),
      bar: 0.5,
    });
  }
  return runComparisons(comparisons, { repetitions: options.repetitions, onProgress });
}

function insertContender(bench: BenchStack, options: BenchOptions): Contender {
  return {
    name: `single-row inserts by ${findInserter()}`,
    unit: 'rows',
    run: async () => {
      await emptyAssignments(bench);
      const { perSecond, p99Ms } = await insertSingleRows({
        databaseUrl: bench.databaseUrl,
        clients: options.connections,
        seconds: options.seconds,
      });
      return { perSecond, notes: { 'p99 ms': p99Ms } };
    },
  };
}

/** Its answer is one that the service gave. */
async function bareRouteContender(bench: BenchStack, options: BenchOptions): Promise<Contender> {
  const answer = await readAnswer(bench);
  return {
    name: 'a bare Fastify route',
    unit: 'answers',
    run: () =>
      measureServer(bench, options, {
        traffic: 'stored-units',
        process: 'assignment-service',
        entry: 'bench/baselines/bare-route.ts',
        settings: { BARE_ROUTE_ANSWER: answer },
      }),
  };
}

async function readAnswer(bench: BenchStack): Promise<string> {
  await using server = await bench.startProcess('assignment-service');
  const traffic = createTraffic('stored-units');
  const answer = await fetch(`${server.url}${traffic.path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bench.access.adminKey}`, 'content-type': 'application/json' },
    body: new Uint8Array(traffic.next()),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`the assignment service answered with ${answer.status}: ${text}`);
  return text;
}
