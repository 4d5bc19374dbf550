// Runs the benchmarks small, on topics and a database of the test's own, so that the command does not rot; speeds are not judged.
import { expect, it } from 'vitest';
import { ensureLocalKeys } from '#infra/system/access-keys.ts';
import { deriveLocalAccess } from '#infra/system/local-access.ts';
import { createTestDatabase, type DatabaseRole } from '#tests/support/database.ts';
import { createTestTopics } from '#tests/support/kafka.ts';
import { stackConnection } from '#tests/support/stack.ts';
import { parseBenchOptions } from './options.ts';
import { formatReport } from './report.ts';
import { runBenchmarks } from './run-benchmarks.ts';
import type { BenchTarget } from './support/bench-stack.ts';
import type { StackState } from './support/stack-state.ts';

async function openTestTarget(resources: AsyncDisposableStack): Promise<BenchTarget> {
  const { localDir, endpoints } = stackConnection();
  const topics = await createTestTopics();
  resources.defer(() => topics.drop());
  const database = await createTestDatabase();
  resources.defer(() => database.drop());
  await ensureLocalKeys(database.pool, deriveLocalAccess(endpoints));
  return {
    localDir,
    endpoints,
    databaseUrl: database.url,
    namespace: topics.namespace,
    settingsOf: (role) => ({ KAFKA_NAMESPACE: topics.namespace, POSTGRES_URL: database.urlAs(role as DatabaseRole) }),
  };
}

it('a consumer group, a service and results are measured beside what they are compared with', async () => {
  const parsed = parseBenchOptions([
    ...['--only', 'postgres-sink', '--only', 'assignment-new', '--only', 'results'],
    ...['--events', '3000', '--units', '200', '--result-units', '2000'],
    ...['--repetitions', '1', '--seconds', '1', '--connections', '4'],
  ]);
  if (!parsed.ok || parsed.options === 'help') throw new Error('the options are not understood');
  await using resources = new AsyncDisposableStack();
  const states: StackState[] = [];
  const findings = await runBenchmarks(parsed.options, {
    resources,
    openTarget: () => openTestTarget(resources),
    onProgress: () => undefined,
    onStack: (state) => states.push(state),
  });

  expect(states.map(({ settings }) => settings.fsync)).toEqual(['on']);
  expect(findings.map(({ kind }) => kind)).toEqual(['ratio', 'ratio', 'limit']);
  for (const finding of findings) {
    const measured = finding.kind === 'ratio' ? finding.ratio.median : finding.value.median;
    expect(Number.isFinite(measured) && measured > 0).toBe(true);
  }
  const report = formatReport(findings);
  for (const text of ['postgres-sink', 'bare COPY', 'assignment-new', 'single-row inserts', 'results of 2,000 units'])
    expect(report).toContain(text);
});
