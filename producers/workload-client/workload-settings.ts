// Settings of the workloads: where the two services are, and with which keys to call them.

import type { ConfigSchema, SettingsOf, SettingsShape } from '#platform/config/settings.ts';
import { formatProblems, parseSettings, setting, text, url } from '#platform/config/settings.ts';

export const workloadSettings = {
  assignmentUrl: setting('ASSIGNMENT_URL', url(['http:', 'https:']), 'Base address of the assignment service'),
  ingestionUrl: setting('INGESTION_URL', url(['http:', 'https:']), 'Base address of the ingestion service'),
  apiKey: setting('API_KEY', text, 'API key with the scopes assign and ingest', { secret: true }),
};

export const adminKeySetting = setting('ADMIN_KEY', text, 'API key with the scope admin, for imports', {
  secret: true,
});

export type ParsedWorkloadSettings<S> = { ok: true; settings: SettingsOf<S> } | { ok: false; text: string };

/** Reads the settings of a workload; on problems the text names all of them, ready to print. */
export function parseWorkloadSettings<S extends SettingsShape>(
  workload: string,
  schema: ConfigSchema<S>,
  environment: Readonly<Record<string, string | undefined>>,
): ParsedWorkloadSettings<S> {
  const parsed = parseSettings(schema, environment);
  return parsed.ok ? parsed : { ok: false, text: `${workload}: ${formatProblems(parsed.problems)}` };
}
