// Brings objects into files below a local folder, a few at a time.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectStore } from '#platform/object-store/object-store.ts';

const downloadsAtOnce = 4;

/** Paths of the files, in the order of the keys. @throws the first failure; files that came before stay in the folder. */
export async function downloadObjects(
  objectStore: Pick<ObjectStore, 'get'>,
  objectKeys: readonly string[],
  folder: string,
): Promise<string[]> {
  const target = await mkdtemp(join(folder, 'objects-'));
  const paths = objectKeys.map((_, index) => join(target, String(index)));
  const waiting = [...objectKeys.entries()];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, objectKey] = next;
      await writeFile(paths[index]!, await objectStore.get(objectKey));
    }
  };
  await Promise.all(Array.from({ length: downloadsAtOnce }, worker));
  return paths;
}
