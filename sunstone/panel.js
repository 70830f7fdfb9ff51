/*
 * All about one datastore, read again every few seconds.
 */
window.OneDRModule.define('panel', function (made) {
  'use strict'

  const { React, mui, redux, api, rules, views, tables, dialog } = made
  const h = React.createElement
  const { plain } = rules
  const { Line, Notice, Section } = views
  const QUIET_MS = 10000 // FireEdge starts a process for each call
  const AWAITED_MS = 2000

  // The zone that is chosen in Sunstone's header: '' for Sunstone's own, null when that cannot be seen.
  function useZone() {
    const given = React.useContext((redux && redux.ReactReduxContext) || made.nothing)
    const store = given && given.store
    const read = () => {
      const general = store ? store.getState().general : null
      if (!general || !rules.known(general.zone)) return null
      return general.zone === (general.defaultZone || 0) ? '' : String(general.zone)
    }
    const [zone, setZone] = React.useState(read)
    React.useEffect(() => (store ? store.subscribe(() => setZone(read())) : undefined), [store])
    return zone
  }
  made.nothing = React.createContext(null)

  // Reads with `load` now and again; keeps what was read when a later reading fails. Of one object in one
  // zone: give the component a key of both.
  function usePolled(load, awaited) {
    const [state, setState] = React.useState({ data: null, error: null })
    const [turn, setTurn] = React.useState(0)
    React.useEffect(() => {
      let shown = true
      let timer = null
      const next = (ms) => {
        timer = window.setTimeout(read, ms)
      }
      const read = () => {
        if (document.hidden) return next(QUIET_MS)
        return load().then(
          (data) => {
            if (shown) {
              setState({ data, error: null })
              next(awaited(data) ? AWAITED_MS : QUIET_MS)
            }
          },
          (error) => {
            if (!shown) return
            setState((old) => ({ ...old, error }))
            if (error.kind !== 'login') next(QUIET_MS)
          },
        )
      }
      read()
      return () => {
        shown = false
        window.clearTimeout(timer)
      }
    }, [turn])
    return { ...state, refresh: () => setTurn((old) => old + 1) }
  }

  const Failure = ({ error, stale }) =>
    error
      ? h(
          Notice,
          { severity: error.kind === 'login' ? 'error' : 'warning', 'data-cy': 'onedr-error' },
          plain(error.message) + (stale ? ' What is shown is older.' : ''),
        )
      : null

  // What is allowed now; what is not possible here is said.
  function Actions({ found, zone, asked, choose }) {
    const allowed = rules.actions(found)
    if (zone === null)
      return h(
        Notice,
        { severity: 'warning' },
        'It cannot be seen which zone is chosen in Sunstone, so nothing can be started here.',
      )
    if (!found.status) return null
    return h(
      Section,
      { title: 'Actions' },
      allowed.length === 0 &&
        h(Line, { 'data-cy': 'onedr-hint' }, plain(found.status.hint) || 'There is nothing to do.'),
      h(
        mui.Box,
        { sx: { display: 'flex', gap: 1, flexWrap: 'wrap' } },
        allowed.map((action) =>
          h(
            mui.Button,
            {
              key: action.action,
              variant: rules.DANGEROUS.includes(action.action) ? 'contained' : 'outlined',
              color: rules.DANGEROUS.includes(action.action) ? 'error' : 'primary',
              'data-cy': 'onedr-' + action.action,
              title: plain(action.text),
              disabled: Boolean(asked),
              onClick: () => choose(action),
            },
            rules.title(action.action),
          ),
        ),
      ),
      allowed.length > 0 &&
        found.status.hint &&
        h(Line, { sx: { color: 'text.secondary', mt: 1 } }, plain(found.status.hint)),
    )
  }

  // What became of what was asked for last.
  function Asked({ asked, state, found, forget }) {
    if (!asked || state === 'running') return null
    const what = rules.title(asked.action)
    const told = {
      '': ['info', what + ' was asked for. It begins in a moment…'],
      refused: ['error', plain(found.datastore.TEMPLATE.DR_MESSAGE)],
      ended: ['success', what + ' has ended; see the past runs.'],
      silent: [
        'warning',
        what + " was asked for, and nothing was heard of it. Does the front-end run OneDR's hooks?",
      ],
    }[state]
    return h(
      Notice,
      { severity: told[0], 'data-cy': 'onedr-asked', onClose: state ? forget : undefined },
      told[1],
    )
  }

  // What was read and asked for in one zone says nothing of another.
  function DatastorePanel({ id }) {
    const zone = useZone()
    return h(PanelOfZone, { key: id + '/' + zone, id, zone })
  }

  function PanelOfZone({ id, zone }) {
    const [asked, setAsked] = React.useState(null)
    const [chosen, setChosen] = React.useState(null)
    const waiting = React.useRef(false)
    const {
      data: found,
      error,
      refresh,
    } = usePolled(
      () => api.datastore(id, zone || ''),
      (data) => waiting.current || Boolean(data.run),
    )
    const state = asked && found ? rules.answer(asked, found, found.now) : ''
    React.useEffect(() => {
      if (state === 'running') setAsked((old) => ({ ...old, ran: true }))
    }, [state])
    waiting.current = Boolean(chosen || (asked && (state === '' || state === 'running')))
    if (!found)
      return h('div', null, h(Failure, { error }), !error && h(Line, { role: 'status' }, 'Loading…'))
    const status = found.status
    const refusal = rules.refusal(found.datastore)
    return h(
      mui.Box,
      {
        'data-cy': 'onedr-panel',
        sx: { display: 'grid', gap: 3, gridTemplateColumns: 'minmax(0, 1fr)', color: 'text.primary' },
      },
      h(Failure, { error, stale: true }),
      found.problem && h(Notice, { severity: 'info', 'data-cy': 'onedr-problem' }, plain(found.problem)),
      h(views.Summary, { found }),
      status &&
        state !== 'refused' &&
        refusal &&
        h(Notice, { severity: 'warning', 'data-cy': 'onedr-refused' }, refusal),
      h(views.Progress, { found }),
      h(Asked, { asked, state, found, forget: () => setAsked(null) }),
      h(Actions, { found, zone, asked: asked && state === '' ? asked : null, choose: setChosen }),
      status && h(tables.Unprotected, { status }),
      status && h(tables.Vms, { status }),
      status && h(tables.History, { status }),
      chosen &&
        h(dialog.ActionDialog, {
          action: chosen,
          found,
          zone: zone || '',
          refresh,
          close: () => setChosen(null),
          started: (request) => {
            setChosen(null)
            setAsked(request)
            refresh()
          },
        }),
    )
  }

  return { DatastorePanel, Failure, usePolled, useZone }
})
