// For tests: instances of the whole planner service on a test database, listening on a port of their own.
import { plannerServiceConfig } from '#api/planner-service/config.ts';
import { startService } from '#api/planner-service/start-service.ts';
import { parseSettings } from '#platform/config/settings.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';
import { tracingOff } from '#platform/telemetry/tracing.ts';
import type { TestDatabase } from '#tests/support/database.ts';

export type PlannerInstance = { readonly url: string; stop(): Promise<void> };

/** `key` is what it shows to its neighbors. */
export async function startPlannerInstance(options: {
  database: TestDatabase;
  assignmentUrl: string;
  ingestionUrl: string;
  key: string;
  /** Settings that a test is about. */
  settings?: Readonly<Record<string, string>>;
}): Promise<PlannerInstance> {
  const parsed = parseSettings(plannerServiceConfig, {
    POSTGRES_URL: options.database.urlAs('planner_service'),
    POSTGRES_POOL_SIZE: '4',
    HTTP_PORT: '0',
    ASSIGNMENT_URL: options.assignmentUrl,
    INGESTION_URL: options.ingestionUrl,
    API_KEY: options.key,
    ...options.settings,
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const resources = new AsyncDisposableStack();
  try {
    const app = await startService({
      config: parsed.settings,
      log: createSilentLogger(),
      metrics: createMetrics({ service: 'planner-service' }),
      tracing: tracingOff,
      resources,
    });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    return { url, stop: () => resources.disposeAsync() };
  } catch (error) {
    await resources.disposeAsync();
    throw error;
  }
}
