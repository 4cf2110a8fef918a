# Postrider as a container: `docker build --tag postrider .`
# The container runs as an unprivileged user. Its root file system may be read-only: with NODE_ENV=production, the default, it writes nothing.
# For a reproducible build, pin the base image: --build-arg BASE=node:24-slim@sha256:...
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
# Files keep the modes of the clone, which may allow only its owner to read them.
RUN chmod --recursive u=rwX,go=rX package.json package-lock.json LICENSE src
# The compile cache of Node.js, filled once: it halves the CPU of a start and of each health check. Node.js uses only a cache of the same
# user, whose number is in the name of the folder. So an image that runs as another user, as on OpenShift, starts without the cache.
ENV NODE_COMPILE_CACHE=/srv/postrider/.compiled
RUN install --directory --owner=10001 --group=10001 .compiled
USER 10001:10001
# Imports each part by name, because app.ts loads only the parts that its roles need, and main.ts would start the program. The second
# command loads what the routes import when they are registered.
RUN node --input-type=module --eval "import { globSync } from 'node:fs'; for (const file of globSync('src/{run,app*}.ts')) await import('./' + file)" \
  && node src/cli.ts openapi > /dev/null
# That user may read the cache, and nobody may write it.
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
# Process 1 gets no signal for which it has no handler yet, and must reap orphaned processes. tini does both for Node.js.
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
# Checks whether the process is alive, not whether Redis is: a supervisor must not restart it because Redis is away.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["node", "src/cli.ts", "health"]
ENTRYPOINT ["tini", "--", "node"]
CMD ["src/main.ts"]
