// `ops archive verify`: manifest, positions, objects and exp.events against each other.

import type { ArchiveCluster } from '../cluster/cluster.ts';
import { formatTable } from '../command-line/output.ts';
import { type DayWindow, type EventReport, verifyEvents } from './verify-events.ts';
import { type ArchiveProblem, findLostBeginnings, type ManifestReport, verifyManifest } from './verify-manifest.ts';
import { type ObjectReport, verifyObjects } from './verify-objects.ts';

export type VerifyOptions = {
  /** Reads every object: its hash and its rows. */
  readonly content: boolean;
  /** Compares identities with exp.events for these event days. */
  readonly events: DayWindow | null;
  readonly onProgress?: (text: string) => void;
};

export type ArchiveReport = {
  readonly manifest: Omit<ManifestReport, 'problems'>;
  readonly objects: Omit<ObjectReport, 'problems'>;
  readonly events: Omit<EventReport, 'problems'> | null;
  readonly problems: readonly ArchiveProblem[];
};

export async function verifyArchive(cluster: ArchiveCluster, options: VerifyOptions): Promise<ArchiveReport> {
  const { problems: ofManifest, ...manifest } = await verifyManifest(cluster);
  const beginnings = await findLostBeginnings(cluster);
  const { problems: ofObjects, ...objects } = await verifyObjects(cluster, options);
  const compared = options.events === null ? null : await verifyEvents(cluster, options.events);
  const problems = [...ofManifest, ...beginnings, ...ofObjects, ...(compared?.problems ?? [])];
  const events = compared === null ? null : { archived: compared.archived, stored: compared.stored };
  return { manifest, objects, events, problems };
}

export function formatArchiveReport({ manifest, objects, events, problems }: ArchiveReport): string {
  const lines = [
    `offset ranges  ${manifest.segments} segments, ${manifest.openClaims.length} not committed yet`,
    `objects        ${objects.objects} that readers use (${manifest.compacted} compacted), ${(objects.bytes / 1e6).toFixed(1)} MB`,
    ...(events === null ? [] : [`events         ${events.archived} in the archive, ${events.stored} in exp.events`]),
    '',
  ];
  if (problems.length === 0) return [...lines, 'all of it agrees'].join('\n');
  const table = formatTable(
    ['problem', 'what'],
    problems.map(({ kind, text }) => [kind, text]),
  );
  return [...lines, table].join('\n');
}
