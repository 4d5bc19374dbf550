// The objects of the archive against the manifest: each one there, of its size, with its content and rows, and none besides.
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { archivePrefix, parseArchiveKey } from '#domain/archive/archive-layout.ts';
import { openScratchDatabase, quoteText, type ScratchDatabase } from '#platform/parquet/scratch-database.ts';
import type { ArchiveCluster } from '../cluster/cluster.ts';
import type { ArchiveProblem } from './verify-manifest.ts';

type ManifestObject = {
  object_key: string;
  status: string;
  row_count: bigint | null;
  size_bytes: bigint | null;
  content_sha256: string | null;
  is_removed: boolean;
};

export type ObjectReport = {
  readonly objects: number;
  readonly bytes: number;
  readonly problems: readonly ArchiveProblem[];
};

async function findContentProblem(
  scratch: ScratchDatabase,
  object: ManifestObject,
  body: Uint8Array,
): Promise<ArchiveProblem | null> {
  const digest = createHash('sha256').update(body).digest('hex');
  if (digest !== object.content_sha256) {
    return { kind: 'object-changed', text: `${object.object_key} is not what was written: another SHA-256` };
  }
  const path = join(scratch.folder, 'object.parquet');
  await writeFile(path, body);
  const counted = await scratch.connection.runAndReadAll(
    `SELECT count(*)::DOUBLE FROM read_parquet(${quoteText(path)})`,
  );
  const rows = counted.getRowsJS()[0]![0] as number;
  return rows === Number(object.row_count)
    ? null
    : { kind: 'rows', text: `${object.object_key} has ${rows} rows, the manifest says ${object.row_count}` };
}

/** With `content` every object is read whole, else only listed. */
export async function verifyObjects(
  cluster: Pick<ArchiveCluster, 'pool' | 'objectStore' | 'topicName'>,
  options: { content: boolean; onProgress?: (text: string) => void },
): Promise<ObjectReport> {
  const topic = cluster.topicName('events');
  // Listed before the manifest is read: an object is claimed there before it is written, so none of these can be new to it.
  const listed = (await cluster.objectStore.list(archivePrefix)).filter(
    ({ objectKey }) => parseArchiveKey(objectKey)?.topic === topic,
  );
  const manifest = await cluster.pool.query<ManifestObject>(
    `SELECT object_key, status, row_count, size_bytes, content_sha256, object_removed_at IS NOT NULL AS is_removed
     FROM exp.archive_manifest WHERE topic = $1 ORDER BY object_key`,
    [topic],
  );
  const known = new Map(manifest.rows.map((row) => [row.object_key, row]));
  const sizes = new Map(listed.map(({ objectKey, sizeBytes }) => [objectKey, sizeBytes]));
  const problems: ArchiveProblem[] = [];
  for (const { objectKey } of listed) {
    const row = known.get(objectKey);
    if (row === undefined) problems.push({ kind: 'object-unknown', text: `${objectKey} is not in the manifest` });
    else if (row.is_removed) problems.push({ kind: 'object-unknown', text: `${objectKey} was removed, but is there` });
  }
  const readable = manifest.rows.filter(({ status, row_count }) => status === 'committed' && row_count !== 0n);
  await using scratch = await openScratchDatabase();
  let done = 0;
  for (const object of readable) {
    const found = sizes.get(object.object_key) ?? (await cluster.objectStore.find(object.object_key))?.sizeBytes;
    if (found === undefined) problems.push({ kind: 'object-missing', text: `${object.object_key} is missing` });
    else if (found !== Number(object.size_bytes)) {
      problems.push({
        kind: 'object-changed',
        text: `${object.object_key} has ${found} bytes, the manifest says ${object.size_bytes}`,
      });
    } else if (options.content) {
      const problem = await findContentProblem(scratch, object, await cluster.objectStore.get(object.object_key));
      if (problem !== null) problems.push(problem);
    }
    done += 1;
    if (options.content && done % 100 === 0) options.onProgress?.(`${done} of ${readable.length} objects read`);
  }
  const bytes = readable.reduce((sum, { size_bytes }) => sum + Number(size_bytes), 0);
  return { objects: readable.length, bytes, problems };
}
