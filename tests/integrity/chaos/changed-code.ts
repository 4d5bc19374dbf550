// Copies of the code with one promise broken on purpose: the suite must notice each.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '#infra/local/local-dir.ts';

export type CodeChange = {
  readonly name: string;
  readonly file: string;
  /** Must be in the file exactly once. */
  readonly text: string;
  readonly replacement: string;
};

/** What our processes are made of. */
const folders = ['api', 'consumers', 'domain', 'platform', 'producers', 'schemas'];

export const codeChanges = {
  noFence: {
    name: 'no fence: a position moves whoever moves it',
    file: 'platform/kafka/postgres-offsets.ts',
    text: 'AND next_offset = $4 AND revision = $6',
    replacement: 'AND $4::bigint IS NOT NULL AND revision = $6',
  },
  offsetBeforeEffects: {
    name: 'offset before effects: the position is durable before what it stands for',
    file: 'platform/kafka/flusher.ts',
    text: 'await deps.offsets.advance(tx, batch.partition, batch.firstOffset, batch.nextOffset);',
    replacement: `await deps.offsets.advance(tx, batch.partition, batch.firstOffset, batch.nextOffset);
      await tx.query('COMMIT');
      await tx.query('BEGIN');`,
  },
  noClaims: {
    name: 'no claims: every event of a batch is counted, whoever has counted it before',
    file: 'consumers/metrics-aggregator/sink.ts',
    text: 'const lost = await claimOrForgetDays(tx, firsts);',
    replacement: 'const lost = new Set<string>();',
  },
  lettersAfterCommit: {
    name: 'dead letters after the commit',
    file: 'platform/kafka/flusher.ts',
    text: `        await deps.publishDeadLetters(toPublish);
        toPublish = [];
        const result = await writeOnce(batch);`,
    replacement: `        const result = await writeOnce(batch);
        await deps.publishDeadLetters(toPublish);
        toPublish = [];`,
  },
} as const satisfies Record<string, CodeChange>;

/** @throws when the text to replace is not there exactly once: then the code has moved on, and the change must follow. */
export function changeText(source: string, { file, text, replacement }: CodeChange): string {
  const parts = source.split(text);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} places like this, expected one:\n${text}`);
  return parts.join(replacement);
}

/** A folder with the changed code, ready to run; its packages are those of this repository. */
export async function copyWithChange(change: CodeChange): Promise<{ root: string; remove(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), 'trialstream-changed-'));
  await Promise.all(folders.map((folder) => cp(join(repositoryRoot, folder), join(root, folder), { recursive: true })));
  await cp(join(repositoryRoot, 'package.json'), join(root, 'package.json'));
  await symlink(join(repositoryRoot, 'node_modules'), join(root, 'node_modules'));
  const path = join(root, change.file);
  await writeFile(path, changeText(await readFile(path, 'utf8'), change));
  return { root, remove: () => rm(root, { recursive: true, force: true }) };
}
