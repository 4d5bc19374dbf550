// Compacts the archive once and prints the report as one JSON line; with --dry-run only what it would do.
import { formatProblems, parseSettings } from '#platform/config/settings.ts';
import { describeError } from '#platform/errors.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import { inNamespace, topics } from '#schemas/topics.ts';
import { type CompactionDeps, compactArchive, findCompactionWork } from './compact-archive.ts';
import { compactionConfig } from './config.ts';

async function dryRun(deps: CompactionDeps): Promise<object> {
  const { units, ...counts } = await findCompactionWork(deps);
  return {
    ...counts,
    units: units.map(({ kind, dt, hour, inputs }) => ({
      kind,
      dt,
      hour,
      objects: inputs.filter(({ rowCount }) => rowCount > 0).length,
      rows: inputs.reduce((sum, { rowCount }) => sum + rowCount, 0),
    })),
  };
}

const parsed = parseSettings(compactionConfig, process.env);
if (!parsed.ok) {
  process.stderr.write(`compaction: ${formatProblems(parsed.problems)}\n`);
  process.exitCode = 2;
} else if (process.argv.includes('--check-config')) {
  process.stdout.write('compaction: settings are valid\n');
} else {
  const { namespace, postgres, objectStore: storeSettings, erasure, compaction } = parsed.settings;
  const pool = createPostgresPool({ ...postgres, applicationName: 'compaction' });
  const objectStore = createObjectStore(storeSettings);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  const deps: CompactionDeps = {
    pool,
    objectStore,
    topic: inNamespace(topics.events.name, namespace),
    erasureKey: erasure.key,
    ...compaction,
    onProgress: (text) => void process.stderr.write(`compaction: ${text}\n`),
    signal: stop.signal,
  };
  try {
    const report = process.argv.includes('--dry-run') ? await dryRun(deps) : await compactArchive(deps);
    process.stdout.write(`${JSON.stringify(report)}\n`);
  } catch (error) {
    process.stderr.write(`compaction: ${describeError(error)}\n`);
    process.exitCode = 1;
  } finally {
    await pool.end();
    objectStore.close();
  }
}
