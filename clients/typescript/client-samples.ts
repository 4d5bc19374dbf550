// For tests: a definition as clients get it, of which each test overrides what it is about, and services that answer from a script.
import type { ClientDefinition } from '../../domain/experiment/client-definition.ts';

export const controlId = '11111111-1111-5111-8111-111111111111';
export const treatmentId = '22222222-2222-5222-8222-222222222222';

/** A running experiment over users, two equal variants at full coverage, without any restriction. */
export function sampleDefinition(overrides: Partial<ClientDefinition> = {}): ClientDefinition {
  return {
    experiment_id: 'a1d1ba58-e9fa-5ca1-baba-5cc68a63d41f',
    key: 'checkout-button',
    iteration: 1,
    version: 1,
    status: 'running',
    serving: { mode: 'as_assigned' },
    unit_type: 'user',
    store_required: false,
    coverage_basis_points: 10_000,
    variants: [
      { variant_id: controlId, name: 'control', is_control: true, allocation_basis_points: 5_000, config: {} },
      {
        variant_id: treatmentId,
        name: 'treatment',
        is_control: false,
        allocation_basis_points: 5_000,
        config: { params: { color: 'green' } },
      },
    ],
    targeting: null,
    layer: null,
    holdout: null,
    forced_variants: {},
    starts_at: null,
    ends_at: null,
    ...overrides,
  };
}

/** The same without ranges, as the service sends it once only stored rows count. */
export function storeRequiredDefinition(overrides: Partial<ClientDefinition> = {}): ClientDefinition {
  const { coverage_basis_points, ...definition } = sampleDefinition(overrides);
  return {
    ...definition,
    store_required: true,
    variants: definition.variants.map(({ allocation_basis_points, ...variant }) => variant),
  };
}

export type Request = { readonly path: string; readonly body: unknown; readonly headers: Record<string, string> };

/** A `fetch` that records requests and answers with what `answer` returns; an exception is a failed connection. */
export function fakeFetch(answer: (request: Request, index: number) => Response | Promise<Response>) {
  const requests: Request[] = [];
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const request = {
      path: new URL(String(input)).pathname,
      body: init?.body === undefined ? undefined : JSON.parse(String(init.body)),
      headers: init?.headers as Record<string, string>,
    };
    requests.push(request);
    return answer(request, requests.length - 1);
  };
  return { fetch, requests };
}

export const toJson = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });
