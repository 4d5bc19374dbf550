// Bounds what the service holds in memory: requests and body bytes in flight, in total and per caller.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { getCaller } from '#api/authentication.ts';
import { RequestError } from '#api/ingestion-service/request-body.ts';

export type AdmissionLimits = {
  readonly maxInFlightRequests: number;
  readonly maxInFlightBytes: number;
  /** Share of both bounds that one API key may hold, 0..1. */
  readonly callerShareRatio: number;
  readonly maxBodyBytes: number;
};

export type Refusal = 'caller-over-share' | 'service-full';

export type Admission = {
  /** Takes room for a request until its answer is out. Throws a RequestError with 429 or 503 when there is none. */
  admit(request: FastifyRequest, reply: FastifyReply): void;
  /** Changes how many bytes an admitted request holds. */
  reserve(request: FastifyRequest, bytes: number): void;
  inFlight(): { readonly requests: number; readonly bytes: number };
};

type Held = { requests: number; bytes: number };
type Lease = { bytes: number; readonly caller: Held };

/** What is counted is the body as announced, or the largest body when its length is not announced. */
export function createAdmission(limits: AdmissionLimits): Admission {
  const total: Held = { requests: 0, bytes: 0 };
  const callers = new Map<string, Held>();
  const leases = new WeakMap<FastifyRequest, Lease>();
  const callerRequests = Math.max(1, Math.floor(limits.maxInFlightRequests * limits.callerShareRatio));
  const callerBytes = Math.floor(limits.maxInFlightBytes * limits.callerShareRatio);

  const check = (caller: Held, requests: number, bytes: number): void => {
    if (total.requests + requests > limits.maxInFlightRequests || total.bytes + bytes > limits.maxInFlightBytes) {
      throw new RequestError(503, 'overloaded', 'the service is at its limit; repeat the request later');
    }
    if (caller.requests + requests > callerRequests || caller.bytes + bytes > callerBytes) {
      throw new RequestError(429, 'too-many-requests', 'this API key has too much in flight; repeat the request later');
    }
  };

  return {
    admit: (request, reply) => {
      const name = getCaller(request).name;
      const announced = Number(request.headers['content-length'] ?? limits.maxBodyBytes);
      // A body over the limit is refused without being read, so it holds nothing.
      const bytes = announced > limits.maxBodyBytes ? 0 : announced;
      const caller = callers.get(name) ?? { requests: 0, bytes: 0 };
      check(caller, 1, bytes);
      callers.set(name, caller);
      const lease: Lease = { bytes, caller };
      leases.set(request, lease);
      for (const held of [total, caller]) {
        held.requests += 1;
        held.bytes += bytes;
      }
      // `close` comes after every end of a response: sent, failed, or abandoned by the client.
      reply.raw.once('close', () => {
        for (const held of [total, caller]) {
          held.requests -= 1;
          held.bytes -= lease.bytes;
        }
        if (caller.requests === 0) callers.delete(name);
      });
    },
    reserve: (request, bytes) => {
      const lease = leases.get(request);
      if (lease === undefined) return;
      const more = bytes - lease.bytes;
      if (more > 0) check(lease.caller, 0, more);
      lease.bytes = bytes;
      total.bytes += more;
      lease.caller.bytes += more;
    },
    inFlight: () => ({ ...total }),
  };
}
