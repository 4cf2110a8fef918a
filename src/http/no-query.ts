/** Refuses query parameters where a route has none: a `?dry_run=true` that was ignored would send mail. */
import { z } from 'zod';
import { problemAnswers } from './problems.ts';
import type { App } from './server.ts';

const noQuery = z.strictObject({});

/** For all routes that `app` gets from now on. */
export function refuseUnknownQueries(app: App): void {
  app.addHook('onRoute', (route) => {
    const { schema = {} } = route;
    if (schema.hide || schema.querystring !== undefined) return;
    const answers = schema.response as object | undefined;
    route.schema = { ...schema, querystring: noQuery, response: { ...problemAnswers(422), ...answers } };
  });
}
