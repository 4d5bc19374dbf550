// Baseline process: a bare Fastify route that reads a JSON body and answers with one fixed object.
//
// No keys, no schemas, no metrics, no limits. Settings: HTTP_PORT, and BARE_ROUTE_ANSWER, the answer as JSON.
import Fastify from 'fastify';

const { HTTP_PORT = '', BARE_ROUTE_ANSWER = '' } = process.env;
const answer: unknown = JSON.parse(BARE_ROUTE_ANSWER);
const app = Fastify({ logger: false, keepAliveTimeout: 75_000, forceCloseConnections: true });
app.get('/readyz', async () => ({ status: 'ready' }));
app.post('/v1/assignments', async () => answer);
await app.listen({ host: '127.0.0.1', port: Number(HTTP_PORT) });
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => void app.close().then(() => process.exit(0)));
