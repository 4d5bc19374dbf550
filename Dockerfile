# One image for all our processes; docker-compose.yml gives each its command. Node runs the TypeScript files as they are.
FROM node:24.21.0-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Install scripts only fetch programs that local development needs: another Node and a Postgres server.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production TZ=UTC NODE_OPTIONS=--disable-warning=TimeoutNegativeWarning
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json ./
COPY schemas ./schemas
COPY domain ./domain
COPY platform ./platform
COPY producers ./producers
COPY analytics ./analytics
COPY api ./api
COPY consumers ./consumers
COPY workers ./workers
COPY ops ./ops
COPY migrations ./migrations
COPY data ./data
USER node
EXPOSE 7001 7002 7071
CMD ["node", "ops/main.ts", "--help"]
