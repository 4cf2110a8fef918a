/** The bodies of `/v1/templates` and the `template` of an email: all rules in one place, so that all faults are named at once. */
import { z } from 'zod';
import { mailbox, mailboxes, maxReplyTo } from './email-fields.ts';
import { jsonObject, objectOf } from './json-object.ts';
import { nullLeavesOut } from './null-leaves-out.ts';
import { missingPolicies, type TemplatePart, variableTypes } from './template.ts';

/** Characters of html, and of text, as Liquid: that much is parsed in some ten milliseconds. */
const maxSourceLength = 256 * 1024;
/** Characters of subject and preheader as Liquid. */
const maxLineSourceLength = 2_000;
const maxDeclared = 100;
/** Bytes of all variables of one email as JSON: as much as one source of a template. */
const maxVariablesBytes = 256 * 1024;

/** Says what is wrong with the Liquid source of a part; null when nothing is. */
export type CheckSource = (part: TemplatePart, source: string) => string | null;

export const templateName = z
  .string()
  .trim()
  .min(1)
  .max(200, { abort: true })
  .refine((text) => !/\p{Cc}/u.test(text), 'must not contain control characters')
  .refine((text) => text.isWellFormed(), 'must be well-formed Unicode')
  .meta({ description: 'Your name for it.', examples: ['Order confirmation'] });

const alias = z
  .string()
  .regex(
    /^(?!tp_)[A-Za-z0-9][\w.-]{0,99}$/,
    'must be 1 to 100 letters, digits and _ . -, start with a letter or digit, and not with tp_',
  )
  .meta({
    description: 'Your short name for it, which you can use instead of its id. No two templates may have the same.',
    examples: ['order-confirmation'],
  });

const key = z
  .string()
  .regex(/^[A-Za-z_][\w-]{0,49}$/, 'must be 1 to 50 letters, digits, _ and -, and not start with a digit')
  .meta({ description: 'Its name, as in the template.', examples: ['name'] });

const declared = z
  .strictObject({
    key,
    type: z.enum(variableTypes).meta({ description: 'The type of the value, if one is given.' }),
    fallback_value: z
      .union([z.string().max(2_000), z.number()])
      .nullish()
      .meta({ description: 'The value used if none is given.', examples: ['friend'] }),
  })
  .refine(({ type, fallback_value: value }) => value === undefined || value === null || typeof value === type, {
    path: ['fallback_value'],
    message: 'must be of the type of its variable',
  })
  .meta({
    id: 'DeclaredVariable',
    description: 'A variable with its type. Variables that are not declared may have any type.',
  });

const variableList = z
  .array(declared)
  .max(maxDeclared, { abort: true })
  .refine((list) => new Set(list.map((variable) => variable.key)).size === list.length, 'must not have a key twice')
  .meta({
    description: 'Variables with a type or a fallback. Others are detected and need not be listed.',
  });

export function partsFor(check: CheckSource) {
  const part = (name: TemplatePart, max: number) =>
    z
      .string()
      .max(max, { abort: true })
      .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be well-formed Unicode without NUL')
      .superRefine((source, context) => {
        const message = check(name, source);
        if (message !== null) context.addIssue({ code: 'custom', message });
      });
  return {
    subject: part('subject', maxLineSourceLength).meta({
      description: 'The subject line, in Liquid. Without it, each email must give its own.',
      examples: ['Your order {{ order.number }}'],
    }),
    html: part('html', maxSourceLength).meta({
      description: 'The HTML body, in Liquid. Values of variables are escaped. `html`, `text` or both are needed.',
      examples: ['<p>Hello {{ name }}</p>'],
    }),
    text: part('text', maxSourceLength).meta({
      description: 'The plain text body, in Liquid. The default is made from the HTML.',
      examples: ['Hello {{ name }}'],
    }),
    preheader: part('preheader', maxLineSourceLength).meta({
      description:
        'The preview text that mail programs show in a list, in Liquid. It is put at the top of the HTML, invisible.',
      examples: ['{{ order.items.size }} things are on their way'],
    }),
    from: mailbox.meta({ description: 'The default sender of emails made from it.' }),
    reply_to: mailboxes(maxReplyTo, 'The default address for replies to emails made from it.'),
    missing: z.enum(missingPolicies).meta({
      description:
        'How a missing variable is treated. `strict` (default): the email is refused, and every missing variable is named. `lenient`: the variable is rendered as nothing.',
    }),
    variables: variableList,
  };
}

export function templateRequestFor(check: CheckSource) {
  return z
    .strictObject({ name: templateName, alias: alias.optional(), ...z.strictObject(partsFor(check)).partial().shape })
    .refine(({ html, text }) => (html ?? '') !== '' || text !== undefined, {
      path: ['html'],
      message: 'html or text is required',
      when: ({ value }) => typeof value === 'object' && value !== null,
    })
    .meta({ id: 'TemplateRequest', description: 'A template to store.' });
}

export type TemplateRequest = z.output<ReturnType<typeof templateRequestFor>>;

/** Without the rule `html or text`: the stored template may have the other one. */
export function templateChangesFor(check: CheckSource) {
  const { missing, ...parts } = partsFor(check);
  return z
    .strictObject({
      name: templateName.optional(),
      alias: orNull(alias),
      subject: orNull(parts.subject),
      html: orNull(parts.html),
      text: orNull(parts.text),
      preheader: orNull(parts.preheader),
      from: orNull(parts.from),
      reply_to: orNull(parts.reply_to),
      missing: missing.optional(),
      variables: orNull(parts.variables),
    })
    .meta({ id: 'TemplateChanges', description: 'The fields to change. Null removes a field.' });
}

export type TemplateChanges = z.output<ReturnType<typeof templateChangesFor>>;

/** A union, since the schema of a mailbox accepts any value and would report null itself. */
export function orNull<Schema extends z.ZodType>(schema: Schema) {
  const description = `${schema.meta()?.description} Null removes it.`;
  return z.union([z.null(), schema]).optional().meta({ description });
}

const variables = jsonObject(maxVariablesBytes)
  .optional()
  .meta({
    description: `The values of the template's variables: texts, numbers, lists and objects, up to ${maxVariablesBytes} bytes as JSON.`,
    examples: [{ name: 'Ada', order: { number: 1234 } }],
    ...objectOf({}),
  });

const version = z
  .int()
  .min(1)
  .optional()
  .meta({ description: 'The version to use. The default is the newest.', examples: [3] });

/** The `template` of an email. */
export const templateOfEmail = nullLeavesOut(
  z.strictObject({
    id: z
      .string()
      .min(1)
      .max(200)
      .meta({ description: 'The id of a template, `tp_…`, or its alias.', examples: ['order-confirmation'] }),
    variables,
    version,
  }),
).meta({ id: 'EmailTemplate', description: 'A template, and the values of its variables.' });

export const renderRequest = z.strictObject({ variables, version }).meta({
  id: 'RenderRequest',
  description: 'The variables and the version to render with.',
  examples: [{ variables: { name: 'Ada', order: { number: 1234, items: [{ name: 'Tea' }] } } }],
});
