/** check-redis: what the present Redis guarantees; told when that changes, as another server may take its place. */
import { judgeRedis, type RedisStanding } from '../domain/redis-standing.ts';
import type { Server } from '../store/server.ts';

type Deps = {
  server: Pick<Server, 'facts'>;
  mustBeDurable: boolean;
  /** Written with every look, for whoever refuses mail or says how things stand. */
  seen: SeenRedis;
  report(standing: RedisStanding): void;
};

/** What was seen last; null before the first look. */
export type SeenRedis = { standing: RedisStanding | null };

/** @throws when Redis is away */
export async function checkRedis({ server, mustBeDurable, seen, report }: Deps): Promise<RedisStanding> {
  const standing = judgeRedis(await server.facts(), mustBeDurable);
  const { standing: before } = seen;
  seen.standing = standing;
  if (standing.server !== before?.server || standing.words !== before.words) report(standing);
  return standing;
}
