// One request over HTTP on a connection of its own.
//
// A connection that is kept may be closed by the server at the moment at which the next request is written to it, and then nobody
// can say whether that request was done: one that may not be repeated would be lost. A server never closes a new one as idle.
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { buffer } from 'node:stream/consumers';

export type HttpRequest = {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** From the connection to the last byte of the answer. */
  readonly timeoutMs: number;
};

export type HttpAnswer = { readonly status: number; readonly body: Buffer };

/** The whole answer, whatever its status. @throws what the connection failed with, or an AbortError after `timeoutMs`. */
export async function sendRequest(
  target: URL,
  { method, headers = {}, body, timeoutMs }: HttpRequest,
): Promise<HttpAnswer> {
  const request = target.protocol === 'https:' ? requestHttps : requestHttp;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  // Node writes the length of a body by itself, but not with DELETE.
  const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const options = { method, headers: { ...headers, ...length }, signal: AbortSignal.timeout(timeoutMs) };
  // Without an agent nothing is kept.
  const sent = request(target, { ...options, agent: false }, resolve);
  sent.on('error', reject);
  sent.end(body);
  const response = await promise;
  return { status: response.statusCode ?? 0, body: await buffer(response) };
}
