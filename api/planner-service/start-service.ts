// Puts the parts of one service instance together, in the order in which they start; the caller releases them in reverse.
import type { FastifyInstance } from 'fastify';
import { createApiKeyStore } from '#api/authentication.ts';
import { createRateLimiter } from '#api/shared-rate-limit.ts';
import type { SettingsOf } from '#platform/config/settings.ts';
import { createPostgresPool } from '#platform/postgres/pool.ts';
import type { Logger } from '#platform/telemetry/logger.ts';
import type { Metrics } from '#platform/telemetry/metrics.ts';
import type { Tracing } from '#platform/telemetry/tracing.ts';
import { baselineModelName } from '#producers/definition-store/register-baseline.ts';
import { findHouseholdFacts } from '#producers/planner-tables/household-rows.ts';
import { createHttpWorkloadPort } from '#producers/workload-client/http-workload-port.ts';
import { buildApp } from './app.ts';
import { createAssignmentClient } from './assignment-client.ts';
import type { plannerServiceConfig } from './config.ts';
import { createEventOutlet } from './event-outlet.ts';
import { createInferenceClient } from './inference-client.ts';
import { createPolicyDirectory, type PolicyVersions } from './policy-directory.ts';
import { createRecipeHistory } from './recipe-history.ts';
import { nameOfModel } from './resolve-planner.ts';
import { createServePlan } from './serve-plan.ts';
import { createShadow } from './shadow.ts';

export type PlannerServiceSettings = SettingsOf<(typeof plannerServiceConfig)['shape']>;

const sendTimeoutMs = 10_000;
/** How long plans under way may still wait for a model when the process stops; its events need the rest of the time. */
const modelGraceMs = 5_000;

/**
 * Starts everything but the listening; what was acquired is on `resources`.
 * @throws when keys, policy versions or recipes cannot be read: after that the service works from memory, but for households.
 */
export async function startService(options: {
  config: PlannerServiceSettings;
  log: Logger;
  metrics: Metrics;
  tracing: Tracing;
  resources: AsyncDisposableStack;
}): Promise<FastifyInstance> {
  const { config, log, metrics, tracing, resources } = options;
  const { neighbors, inference: inferenceSettings, limits } = config;
  const pool = createPostgresPool({
    ...config.postgres,
    applicationName: 'planner-service',
    statementTimeoutMs: 10_000,
    onIdleError: (error) => log.warn({ err: error }, 'idle Postgres connection lost'),
  });
  resources.defer(() => pool.end());
  const keys = resources.use(createApiKeyStore({ pool, log }));
  await keys.start();
  const clocks = { monotonicMs: () => performance.now(), epochMs: Date.now };
  const stopping = new AbortController();
  const inference = createInferenceClient({
    url: inferenceSettings.url,
    nowMs: clocks.monotonicMs,
    givenUp: stopping.signal,
  });
  const { refreshIntervalMs } = config.policy;
  const policies = resources.use(
    createPolicyDirectory({
      pool,
      policyName: config.policy.name,
      refreshIntervalMs,
      log,
      onRead: createPreloader(inference.load, config.shadow.model),
    }),
  );
  await policies.start();
  const recipes = resources.use(createRecipeHistory({ pool, refreshIntervalMs, log }));
  await recipes.start();
  const outlet = resources.use(
    createEventOutlet({
      port: createHttpWorkloadPort({
        ...neighbors,
        retry: { deadlineMs: limits.eventRetryMs, attemptTimeoutMs: sendTimeoutMs },
      }),
      maxQueued: limits.maxQueuedEvents,
      maxQueuedBytes: limits.maxQueuedEventBytes,
      nowMs: clocks.monotonicMs,
      metrics,
      log,
    }),
  );
  const shadow = resources.use(
    createShadow({
      ...config.shadow,
      deadlineMs: inferenceSettings.deadlineMs,
      inference,
      outlet,
      nowMs: clocks.monotonicMs,
      metrics,
      log,
    }),
  );
  const waiting = metrics.gauge('planner_waiting_events', 'Events that wait for the ingestion service');
  const waitingBytes = metrics.gauge('planner_waiting_event_bytes', 'Bytes of the events that wait');
  const fresh = metrics.gauge('planner_policies_fresh', '1 while policy versions follow Postgres, 0 while it is away');
  const app = await buildApp({
    keys,
    rateLimiter: createRateLimiter(
      { redisUrl: config.redisUrl, scope: 'planner-service', config: config.rateLimit, log },
      resources,
    ),
    corsOrigins: config.cors.origins,
    // Ready all the same: another instance would have the same neighbors.
    readiness: () => ({
      ready: true,
      detail: {
        postgres: policies.isFresh() ? 'reachable' : 'away',
        ingestion: outlet.isStuck() ? 'away' : 'reachable',
        events: outlet.hasRoom() ? 'accepted' : 'full',
      },
    }),
    measure: () => {
      waiting.set(outlet.waiting().events);
      waitingBytes.set(outlet.waiting().bytes);
      fresh.set(policies.isFresh() ? 1 : 0);
    },
    servePlan: createServePlan({
      findFacts: (householdId, time) => findHouseholdFacts(pool, householdId, time),
      recipes,
      eventTime: config.eventTime,
      policies,
      askAssignments: createAssignmentClient({
        url: neighbors.assignmentUrl,
        apiKey: neighbors.apiKey,
        timeoutMs: neighbors.assignmentTimeoutMs,
      }),
      inference,
      outlet,
      shadow,
      rulesModelName: baselineModelName,
      deadlineMs: inferenceSettings.deadlineMs,
      prices: inferenceSettings,
      maxInFlight: limits.maxInFlight,
      clocks,
      metrics,
      log,
    }),
    metrics,
    tracing,
    log,
  });
  resources.defer(() => app.close());
  // Released first: the close waits for plans under way.
  resources.defer(() => void setTimeout(() => stopping.abort(), modelGraceMs).unref());
  return app;
}

/** Has each version that may be asked for loaded once, before the first household needs it; a load that failed is tried again. */
function createPreloader(
  load: (model: string) => Promise<boolean>,
  shadowModel: string | undefined,
): (versions: PolicyVersions) => void {
  const asked = new Set<string>();
  return ({ live }) => {
    const models = live.filter(({ modelName }) => modelName !== baselineModelName).map(nameOfModel);
    for (const model of shadowModel === undefined ? models : [...models, shadowModel]) {
      if (asked.has(model)) continue;
      asked.add(model);
      void load(model).then((isLoaded) => isLoaded || asked.delete(model));
    }
  };
}
