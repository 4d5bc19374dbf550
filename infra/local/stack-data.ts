// Removes the data of a local stack that does not run.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Component } from './component.ts';
import { components } from './components.ts';

/** Removes data, logs and passwords; the caller makes sure that nothing runs. Downloads stay. */
export async function removeStackData(localDir: string): Promise<void> {
  const folders = (components as readonly Component[]).flatMap((component) => [
    join(localDir, component.name),
    ...(component.foldersElsewhere?.(localDir) ?? []),
  ]);
  // Passwords belong to the data they open.
  for (const path of [...folders, join(localDir, 'credentials.json'), join(localDir, 'logs')]) {
    await rm(path, { recursive: true, force: true });
  }
}
