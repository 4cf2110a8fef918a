# Postrider as a container: `docker build --tag postrider .`
# Runs as nobody in particular, on a root file system that may be read-only; with NODE_ENV=production, its default, it writes nothing.
# For a build that is the same tomorrow, pin the base: --build-arg BASE=node:24-slim@sha256:...
ARG BASE=node:24-slim

FROM ${BASE} AS build
RUN apt-get update \
  && apt-get install --yes --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/postrider
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY LICENSE ./
COPY src src
# They come with the modes of the clone, which may be for its owner alone.
RUN chmod --recursive u=rwX,go=rX package.json package-lock.json LICENSE src
# What Node.js makes of the sources, made once: a start, and each health check, costs half the CPU. Node.js finds only what the same user
# made, by the number in the folder's name: who runs the image as another user, as OpenShift does, starts without.
ENV NODE_COMPILE_CACHE=/srv/postrider/.compiled
RUN install --directory --owner=10001 --group=10001 .compiled
USER 10001:10001
# Each part by its name: app.ts loads only those that a process has roles for. main.ts would run. The routes load more as they are made.
RUN node --input-type=module --eval "import { globSync } from 'node:fs'; for (const file of globSync('src/{run,app*}.ts')) await import('./' + file)" \
  && node src/cli.ts openapi > /dev/null
# Read by that user, and written by nobody.
USER 0:0
RUN chown --recursive 0:0 .compiled && chmod --recursive a+rX .compiled

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="Postrider" \
  org.opencontainers.image.description="An email-sending HTTP service: durable accept, honest delivery, signed webhooks" \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}"
# Process 1 gets no signal that it has no handler for yet, and has to bury the children of others: tini does both for Node.js.
COPY --from=build /usr/bin/tini-static /usr/bin/tini
COPY --from=build /srv/postrider /srv/postrider
WORKDIR /srv/postrider
ENV NODE_ENV=production \
  NODE_COMPILE_CACHE=/srv/postrider/.compiled \
  HOST=0.0.0.0 \
  PORT=8080 \
  HEALTH_PORT=8080 \
  DATA_DIR=/tmp/postrider
USER 10001:10001
EXPOSE 8080
# Whether it lives, not whether Redis does: whoever restarts what is unhealthy must not restart it for that.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["node", "src/cli.ts", "health"]
ENTRYPOINT ["tini", "--", "node"]
CMD ["src/main.ts"]
