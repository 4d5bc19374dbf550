// The HTTP services as applications that answer nothing: only what they say of themselves is wanted.
import { buildApp as buildAssignmentService } from '#api/assignment-service/app.ts';
import { createDefinitionFeed } from '#api/assignment-service/definition-feed.ts';
import { buildApp as buildIngestionService } from '#api/ingestion-service/app.ts';
import { buildApp as buildPlannerService } from '#api/planner-service/app.ts';
import { createSilentLogger } from '#platform/telemetry/logger.ts';
import { createMetrics } from '#platform/telemetry/metrics.ts';

/** A dependency that fails when it is used. */
function unused<T extends object>(): T {
  const fail = (): never => {
    throw new Error('this application exists for its documentation');
  };
  return new Proxy(fail, {
    apply: fail,
    get: (_target, name) => (name === 'then' ? undefined : unused()),
  }) as unknown as T;
}

/** Dependencies of which only these are there: the others are asked for by requests, and there are none. */
function withUnused<Deps extends object>(given: Partial<Deps>): Deps {
  return new Proxy(given, {
    get: (target, name) => (name in target ? target[name as keyof Deps] : unused()),
  }) as Deps;
}

/** The OpenAPI document of each service by its folder under api/. */
export async function readOpenApiDocuments(): Promise<Readonly<Record<string, unknown>>> {
  const log = createSilentLogger();
  const [assignment, ingestion, planner] = await Promise.all([
    buildAssignmentService(
      withUnused<Parameters<typeof buildAssignmentService>[0]>({
        definitionFeed: createDefinitionFeed(),
        corsOrigins: [],
        metrics: createMetrics({ service: 'assignment-service' }),
        log,
      }),
    ),
    buildIngestionService(
      withUnused<Parameters<typeof buildIngestionService>[0]>({
        limits: { maxBodyBytes: 1_024, maxEvents: 1 },
        corsOrigins: [],
        metrics: createMetrics({ service: 'ingestion-service' }),
        log,
      }),
    ),
    buildPlannerService(
      withUnused<Parameters<typeof buildPlannerService>[0]>({
        corsOrigins: [],
        metrics: createMetrics({ service: 'planner-service' }),
        log,
      }),
    ),
  ]);
  try {
    return {
      'assignment-service': assignment.swagger(),
      'ingestion-service': ingestion.swagger(),
      'planner-service': planner.swagger(),
    };
  } finally {
    await Promise.all([assignment.close(), ingestion.close(), planner.close()]);
  }
}
