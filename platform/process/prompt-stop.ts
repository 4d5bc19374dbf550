// Stopping an HTTP service without waiting for clients that keep their connections open.
import type { FastifyInstance } from 'fastify';

const sweepMs = 20;

/**
 * Of a server that stops so. What arrives on a connection in use while it closes is answered as ever, and the connection closes after
 * that: Fastify alone would refuse it with a 503 that does not say when to come back.
 */
export const promptStopOptions = {
  keepAliveTimeout: 75_000,
  forceCloseConnections: 'idle',
  return503OnClosing: false,
} as const;

/**
 * Answers what has arrived and then closes each connection. Node closes only those that are idle when `close` is called: one that
 * was busy at that moment would hold up the stop for the whole keep-alive time after its answer.
 */
export function stopPromptly(app: FastifyInstance): void {
  app.addHook('preClose', async () => {
    const sweep = setInterval(() => app.server.closeIdleConnections(), sweepMs);
    app.server.once('close', () => clearInterval(sweep));
    // A server that never listened emits no 'close'; the timer must not keep the process for it.
    if (!app.server.listening) clearInterval(sweep);
  });
}
