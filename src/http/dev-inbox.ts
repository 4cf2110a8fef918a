/** /dev/inbox: captured mail for people and scripts. */
import type { Inbox } from '../store/inbox.ts';
import type { Routes } from './server.ts';

type Deps = { inbox: Pick<Inbox, 'list' | 'watch' | 'clear'> };

export function devInboxRoutes(deps: Deps): Routes {
  return (app) => {
    app.get('/dev/inbox.json', { schema: { hide: true } }, async () =>
      (await deps.inbox.list()).map(({ raw, ...mail }) => ({ ...mail, raw: raw.toString() })),
    );
  };
}
