/*
 * Starting an action: its plan is asked for and shown, the name is typed where that is asked, one update
 * starts it. OneDR decides again when it begins: nothing here is a safeguard.
 */
window.OneDRModule.define('dialog', function (made) {
  'use strict'

  const { React, mui, api, rules, views, tables } = made
  const h = React.createElement
  const { plain } = rules
  const { Line, Notice } = views

  // Asks for the plan when the dialog opens, or when the name is typed. Returns what is known of it.
  function usePlan(action, found, zone, refresh) {
    const needsName = rules.planNeedsName(action)
    const [asked, setAsked] = React.useState(null)
    const [error, setError] = React.useState('')
    const ask = () => {
      const request = api.request()
      setError('')
      setAsked({ request, at: found.now, message: plain((found.datastore.TEMPLATE || {}).DR_MESSAGE) })
      const confirm = needsName ? found.datastore.NAME : ''
      const words = { DR_ACTION: 'PLAN', DR_PLAN: action.action, DR_CONFIRM: confirm, DR_REQUEST: request }
      api.ask(found.datastore.ID, words, zone).then(refresh, (failure) => setError(failure.message))
    }
    React.useEffect(() => {
      if (action.plan && !needsName) ask()
    }, [])
    const plan = asked && found.plan && found.plan.request === asked.request ? found.plan : null
    const state =
      asked && !plan && !error
        ? rules.answer({ ...asked, newest: null }, { ...found, run: null, status: null }, found.now)
        : ''
    if (state === 'refused') return { plan, ask, error: plain(found.datastore.TEMPLATE.DR_MESSAGE) }
    if (state === 'silent')
      return {
        plan,
        ask,
        error: 'No plan came within ' + rules.REQUEST_LIMIT_S + " s. Does the front-end run OneDR's hooks?",
      }
    return { plan, ask, error, asked: Boolean(asked) }
  }

  function PlanShown({ action, found, planned, named }) {
    if (!action.plan) return null
    const { plan, error, asked, ask } = planned
    const again = h(
      mui.Button,
      {
        size: 'small',
        sx: { justifySelf: 'start' },
        onClick: ask,
        disabled: rules.planNeedsName(action) && !named,
        'data-cy': 'onedr-plan-again',
      },
      asked ? 'Plan again' : 'Show the plan',
    )
    if (!asked) return again
    if (!plan && !error)
      return h(mui.Box, { role: 'status' }, h(Line, null, 'Working out the plan…'), h(mui.LinearProgress))
    if (error || plan.error)
      return h(
        React.Fragment,
        null,
        h(
          Notice,
          { severity: 'error', 'data-cy': 'onedr-plan-error' },
          'There is no plan: ' + plain(error || plan.error),
        ),
        again,
      )
    return h(
      React.Fragment,
      null,
      plan.refusal && h(Notice, { severity: 'error', 'data-cy': 'onedr-refusal' }, plain(plan.refusal)),
      h(tables.Plan, { plan, now: found.now }),
      again,
    )
  }

  // `action`: as the document lists it. `started(asked)`: it was asked for.
  function ActionDialog({ action, found, zone, refresh, close, started }) {
    const name = plain(found.datastore.NAME)
    const [typed, setTyped] = React.useState('')
    const [state, setState] = React.useState({})
    const planned = usePlan(action, found, zone, refresh)
    const usable = planned.plan || (planned.error ? { error: planned.error } : null)
    const hindrance = rules.hindrance(action, usable, typed, found.datastore.NAME)
    const go = () => {
      const request = api.request()
      setState({ busy: true })
      const asked = {
        request,
        action: action.action,
        at: found.now,
        message: plain((found.datastore.TEMPLATE || {}).DR_MESSAGE),
        newest: (((found.status || {}).runs || [])[0] || {}).run,
      }
      api
        .ask(
          found.datastore.ID,
          {
            DR_ACTION: action.action,
            DR_CONFIRM: rules.confirmation(action, planned.plan, typed, found.datastore.NAME),
            DR_REQUEST: request,
          },
          zone,
        )
        .then(
          () => started(asked),
          (error) => setState({ error: error.message }),
        )
    }
    const id = 'onedr-dialog-title'
    return h(
      mui.Dialog,
      {
        open: true,
        onClose: close,
        fullWidth: true,
        maxWidth: 'md',
        'aria-labelledby': id,
        'data-cy': 'onedr-dialog',
      },
      h(mui.DialogTitle, { id, sx: { overflowWrap: 'anywhere' } }, rules.title(action.action) + ': ' + name),
      h(
        mui.DialogContent,
        { dividers: true },
        h(
          mui.Box,
          { sx: { display: 'grid', gap: 2, gridTemplateColumns: 'minmax(0, 1fr)' } },
          h(Line, { 'data-cy': 'onedr-what' }, plain(action.text)),
          h(PlanShown, { action, found, planned, named: typed === found.datastore.NAME }),
          action.confirm === 'name' &&
            h(
              mui.Box,
              null,
              h(
                Line,
                { sx: { mb: 1 } },
                'Type the name of the datastore, ' +
                  name +
                  ', to confirm' +
                  (usable && usable.error ? ' without a plan.' : planned.asked ? ' this plan.' : '.'),
              ),
              h(mui.TextField, {
                size: 'small',
                fullWidth: true,
                value: typed,
                autoComplete: 'off',
                spellCheck: false,
                onChange: (event) => setTyped(event.target.value),
                inputProps: { 'data-cy': 'onedr-confirm', 'aria-label': 'Name of the datastore' },
              }),
            ),
          state.error &&
            h(Notice, { severity: 'error', 'data-cy': 'onedr-failed' }, 'Not started: ' + plain(state.error)),
        ),
      ),
      h(
        mui.DialogActions,
        { sx: { flexWrap: 'wrap' } },
        h(Line, { sx: { flex: 1, color: 'text.secondary', pl: 2 }, 'data-cy': 'onedr-hindrance' }, hindrance),
        h(mui.Button, { onClick: close, 'data-cy': 'onedr-close' }, 'Close'),
        h(
          mui.Button,
          {
            variant: 'contained',
            'data-cy': 'onedr-go',
            disabled: Boolean(hindrance || state.busy),
            onClick: go,
            color: rules.DANGEROUS.includes(action.action) ? 'error' : 'primary',
          },
          rules.title(action.action),
        ),
      ),
    )
  }

  return { ActionDialog }
})
