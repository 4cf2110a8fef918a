/** A template as callers see it: the schemas, and views made of a stored template. */
import { z } from 'zod';
import { formatMailbox } from '../domain/address.ts';
import {
  type CompiledTemplate,
  type Letter,
  missingPolicies,
  type Template,
  type TemplateContent,
  type TemplateHead,
  templateParts,
  variableTypes,
  versionIdOf,
} from '../domain/template.ts';
import type { TemplateVersion } from '../store/templates.ts';
import { deletedView, isoOf, objectField, time } from './answer-fields.ts';
import { pageOf } from './paging.ts';

const id = z.string().meta({ description: 'Its id, `tp_…`.' });
const live = z.literal('published').meta({ description: 'Each version can be used as soon as it is stored.' });

const templateSummaryView = z
  .object({
    object: objectField('template'),
    id,
    name: z.string().meta({ description: 'What it is for, in your words.' }),
    alias: z.string().nullable().meta({ description: 'Your name for it, which can be used in place of its id.' }),
    status: live,
    version: z.int().meta({ description: 'The number of its newest version, from 1.' }),
    created_at: time.meta({ description: 'When it was made.' }),
    updated_at: time.meta({ description: 'When it was changed last.' }),
    published_at: time.meta({ description: 'The same as `updated_at`, for SDKs.' }),
  })
  .meta({ id: 'TemplateSummary', description: 'A template as lists have it.' });

const variableView = z
  .object({
    key: z.string().meta({ description: 'Its name.' }),
    type: z.enum([...variableTypes, 'any']).meta({ description: 'What it must be; `any` where nothing was declared.' }),
    fallback_value: z
      .union([z.string(), z.number()])
      .nullable()
      .meta({ description: 'What stands where it is not given.' }),
    used_in: z.array(z.enum(templateParts)).meta({ description: 'The parts that ask for it.' }),
    paths: z.array(z.string()).meta({ description: 'What is asked for of it, as the template writes it.' }),
  })
  .meta({ id: 'TemplateVariable', description: 'A variable that the template asks for, or that was declared.' });

const source = (what: string) =>
  z
    .string()
    .nullable()
    .meta({ description: `${what}, as it was given.` });

const contentFields = {
  subject: source('The subject line'),
  html: source('The HTML body'),
  text: source('The plain text body; null where it is made of the HTML'),
  preheader: source('The preheader'),
  from: z.string().nullable().meta({ description: 'Who emails made of it are from.' }),
  reply_to: z.array(z.string()).nullable().meta({ description: 'Where answers to them go.' }),
  missing: z.enum(missingPolicies).meta({ description: 'What a variable that is not given means.' }),
  variables: z.array(variableView).meta({ description: 'The variables, found and declared.' }),
};

export const templateView = templateSummaryView
  .extend({
    ...contentFields,
    has_unpublished_versions: z.literal(false).meta({ description: 'None is: for SDKs.' }),
    current_version_id: z.string().meta({ description: 'The id of its newest version.' }),
  })
  .meta({ id: 'Template', description: 'A template in its newest version.' });

const versionFields = {
  object: objectField('template_version'),
  id: z.string().meta({ description: 'Its id: that of the template, and its number.' }),
  version: z.int().meta({ description: 'Its number, from 1.' }),
};

export const versionView = z
  .object({ ...versionFields, ...contentFields })
  .meta({ id: 'TemplateVersion', description: 'One version of a template. It does not change.' });

export const versionList = z
  .object({
    object: objectField('list'),
    has_more: z.literal(false).meta({ description: 'All are here.' }),
    data: z
      .array(
        z
          .object({ ...versionFields, created_at: time.meta({ description: 'When it was made.' }) })
          .meta({ id: 'TemplateVersionSummary', description: 'A version, without what it says.' }),
      )
      .meta({ description: 'The versions, newest first.' }),
  })
  .meta({ id: 'TemplateVersionList', description: 'The versions, newest first; at most the last 1,000.' });

export const templatePage = pageOf(templateSummaryView).meta({ description: 'Templates, newest first.' });

export const storedTemplate = z
  .object({
    object: objectField('template'),
    id,
    version: z.int().meta({ description: 'The number of its newest version.' }),
  })
  .meta({ id: 'StoredTemplate', description: 'The template, as it is stored now.' });

export const deletedTemplate = deletedView('template').meta({ description: 'The template was removed.' });

export const letterView = z
  .object({
    object: objectField('rendered_template'),
    subject: z.string().nullable().meta({ description: 'The subject line; null where the template has none.' }),
    html: z.string().nullable().meta({ description: 'The HTML body; null where the template has none.' }),
    text: z.string().nullable().meta({ description: 'The plain text body.' }),
    version: z.int().meta({ description: 'The version that was rendered.' }),
  })
  .meta({ id: 'RenderedTemplate', description: 'What an email made of it would say.' });

export function summaryOf(head: TemplateHead): z.input<typeof templateSummaryView> {
  return {
    object: 'template',
    ...{ id: head.id, name: head.name, alias: head.alias, status: 'published', version: head.version },
    created_at: isoOf(head.createdAt),
    updated_at: isoOf(head.updatedAt),
    published_at: isoOf(head.updatedAt),
  };
}

type Uses = Pick<CompiledTemplate, 'uses'>['uses'];

export function viewOf({ head, content }: Template, uses: Uses): z.input<typeof templateView> {
  return {
    ...summaryOf(head),
    ...contentOf(content, uses),
    has_unpublished_versions: false,
    current_version_id: versionIdOf(head),
  };
}

export function versionViewOf(id: string, version: number, content: TemplateContent, uses: Uses) {
  const view: z.input<typeof versionView> = {
    object: 'template_version',
    ...{ id: versionIdOf({ id, version }), version },
    ...contentOf(content, uses),
  };
  return view;
}

export function versionListOf(id: string, versions: readonly TemplateVersion[]): z.input<typeof versionList> {
  const data = versions.map(({ version, createdAt }) => ({
    object: 'template_version' as const,
    ...{ id: versionIdOf({ id, version }), version, created_at: isoOf(createdAt) },
  }));
  return { object: 'list', has_more: false, data };
}

export function letterOf(letter: Letter, version: number): z.input<typeof letterView> {
  return { object: 'rendered_template', ...letter, version };
}

function contentOf({ from, replyTo, variables: declared, ...content }: TemplateContent, uses: Uses) {
  const found = uses.filter(({ key }) => !declared.some((variable) => variable.key === key));
  const useOf = (key: string) => uses.find((use) => use.key === key);
  return {
    ...content,
    from: from && formatMailbox(from),
    reply_to: replyTo.length === 0 ? null : replyTo.map(formatMailbox),
    variables: [
      ...declared.map(({ key, type, fallback }) => ({
        ...{ key, type, fallback_value: fallback },
        ...usedOf(useOf(key)),
      })),
      ...found.map((use) => ({ key: use.key, type: 'any' as const, fallback_value: null, ...usedOf(use) })),
    ],
  };
}

function usedOf(use: Uses[number] | undefined) {
  return { used_in: [...(use?.usedIn ?? [])], paths: [...(use?.paths ?? [])] };
}
