// `ops lineage`: where something comes from and what came of it, along real ids.
import { Argument, type Command } from 'commander';
import { FatalError } from '#platform/errors.ts';
import { createMlflowClient } from '#platform/mlflow/mlflow-client.ts';
import { createObjectStore } from '#platform/object-store/object-store.ts';
import { readErasures } from '#platform/postgres/erasures.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import type { CommandLine } from '../command-line/command-line.ts';
import { toJson } from '../command-line/output.ts';
import { createDatasetContents } from './dataset-contents.ts';
import { findLineage, type LineageRoot, lineageRoots } from './find-lineage.ts';
import { lineageConfig } from './lineage-config.ts';
import { createLineageModels } from './lineage-models.ts';
import { createLineageRecords } from './lineage-records.ts';
import { countLineageProblems, formatLineage } from './lineage-tree.ts';

export function addLineageCommand(program: Command, line: CommandLine): void {
  const roots = Object.entries(lineageRoots).map(([root, name]) => `  ${root.padEnd(14)} ${name}`);
  program
    .command('lineage')
    .description(
      'where something comes from and what came of it: events, datasets, runs, models, policy versions, assignments',
    )
    .addArgument(new Argument('<kind>', 'what it is').choices(Object.keys(lineageRoots)))
    .argument('[id]', 'which one')
    .option('--json', 'one JSON object', false)
    .addHelpText(
      'after',
      `\nWhat can be asked for:\n${roots.join('\n')}\n\nThe exit code is 1 when something that should be there is missing.`,
    )
    .action(async (kind: LineageRoot, id: string | undefined, { json }: { json: boolean }) => {
      if (id === undefined && kind !== 'erased')
        throw new FatalError(`which ${kind}? expected ${lineageRoots[kind]}`, { code: 'config-invalid' });
      if (id !== undefined && kind === 'erased')
        throw new FatalError(`erased means all erasures and takes no id: ${id} is too much`, {
          code: 'config-invalid',
        });
      await using resources = new AsyncDisposableStack();
      const { postgres, objectStore: store, mlflow, erasureKey } = line.settingsOf(lineageConfig);
      const pool = createPostgresPool({ ...postgres, poolSize: 2, applicationName: 'ops' });
      resources.defer(() => pool.end());
      const objectStore = createObjectStore(store);
      resources.defer(() => objectStore.close());
      const { erasures } = await readErasures(pool);
      const lineage = await findLineage(kind, id ?? '', {
        pool,
        objectStore,
        erasureKey,
        erasures: new Map(erasures.map(({ unitHash, pseudonym }) => [unitHash.toString('hex'), pseudonym])),
        records: createLineageRecords(pool),
        contents: createDatasetContents(objectStore, resources),
        models: createLineageModels(mlflow.url === undefined ? null : createMlflowClient({ url: mlflow.url })),
      });
      line.print(json ? toJson({ ...lineage, problems: countLineageProblems(lineage) }) : formatLineage(lineage));
      if (countLineageProblems(lineage) > 0) line.reportProblems();
    });
}
