/*
 * OneDR in Sunstone: a Module Federation container written by hand, so there is no build (docs/sunstone.md).
 *
 * A script that throws here would keep all of Sunstone from starting, for everybody. So nothing here may
 * throw, and Sunstone waits for nothing of ours: the page and the tabs are small shells, which load the other
 * scripts of this folder when they are shown. React and MUI are Sunstone's own.
 */
;(function () {
  'use strict'

  const NAME = 'OneDRModule'
  const PARTS = ['rules', 'api', 'report', 'views', 'tables', 'dialog', 'panel', 'pages']
  const LIBRARIES = { React: 'react', mui: '@mui/material' }
  const LIMIT_MS = 20000 // of loading one script

  // The folder that this script came from, and its version: the other scripts carry the same one.
  const address = new URL(
    (document.currentScript || {}).src || '/fireedge/modules/' + NAME + '/remoteEntry.js',
    window.location.href,
  )
  const folder = address.pathname.replace(/[^/]*$/, '')
  const version = address.searchParams.get('v') || ''

  let scope = null // Sunstone's libraries, from whoever gives them first
  let loading = null // a promise of the components
  let tries = 0
  const factories = {}
  const tabs = {
    datastore: false,
    vm: false,
    why: 'Sunstone has not shown a datastore or VM since it was loaded',
  }

  // -- Sunstone's libraries -------------------------------------------------------------------------------

  function later(a, b) {
    const x = a.split('.').map(Number)
    const y = b.split('.').map(Number)
    for (let i = 0; i < 3; i++) if ((x[i] || 0) !== (y[i] || 0)) return (x[i] || 0) - (y[i] || 0)
    return 0
  }

  // A promise of a library: the version that is in use, for there may be only one React.
  function library(name) {
    const versions = scope && scope[name]
    if (!versions) return Promise.reject(new Error('Sunstone does not share ' + name))
    const known = Object.keys(versions).sort(later)
    const chosen = known.filter((key) => versions[key].loaded).pop() || known.pop()
    return Promise.resolve(versions[chosen].get()).then((factory) => factory())
  }

  // -- our other scripts ----------------------------------------------------------------------------------

  function loadScript(part) {
    return new Promise((resolve, reject) => {
      const script = document.createElement('script')
      const failed = (why) => () => reject(new Error(part + '.js ' + why))
      const timer = window.setTimeout(failed('did not come in time'), LIMIT_MS)
      // Browsers keep a failure under its address, so a further try needs another one.
      script.src = folder + part + '.js?v=' + encodeURIComponent(version) + (tries ? '&try=' + tries : '')
      script.onload = () => {
        window.clearTimeout(timer)
        factories[part] ? resolve() : failed('is not whole')()
      }
      script.onerror = failed('cannot be loaded')
      document.head.appendChild(script)
    })
  }

  // A promise of the components. One that failed is tried again when the page or a tab is shown again.
  function components() {
    loading =
      loading ||
      Promise.all([
        Promise.all(Object.values(LIBRARIES).map(library)),
        library('react-redux').catch(() => null), // it only tells the chosen zone
        Promise.all(PARTS.filter((part) => !factories[part]).map(loadScript)),
      ])
        .then(([found, redux]) => {
          const made = { redux, version, tabs, base: folder.replace(/modules\/[^/]*\/$/, 'api') }
          Object.keys(LIBRARIES).forEach((name, i) => (made[name] = found[i]))
          PARTS.forEach((part) => (made[part] = factories[part](made)))
          return made.pages
        })
        .catch((error) => {
          loading = null
          tries += 1
          throw error
        })
    return loading
  }

  // A component that shows `name` of our components as soon as they are there.
  function shell(React, name) {
    return function OneDR(props) {
      const [state, setState] = React.useState({})
      React.useEffect(() => {
        let shown = true
        components().then(
          (made) => shown && setState({ Component: made[name] }),
          (error) => shown && setState({ error }),
        )
        return () => (shown = false)
      }, [])
      if (state.Component) return React.createElement(state.Component, props)
      return React.createElement(
        'p',
        { role: 'status', 'data-cy': 'onedr-loading' },
        state.error ? 'OneDR cannot be shown: ' + state.error.message + '. Reload the page.' : 'Loading…',
      )
    }
  }

  // -- tabs in the details of a datastore and of a VM -----------------------------------------------------
  // Sunstone 7.4 has no extension point for them: the arrays that its own module exports get one tab more.

  function addTab(holder, tab) {
    const known = holder && holder.Tabs
    if (!known) return false
    const ours = (list) => Object.values(list).some((each) => each && each.id === tab.id)
    if (Array.isArray(known.Single) && !ours(known.Single)) known.Single.push(tab)
    if (!ours(known) && Object.isExtensible(known)) known.OneDR = tab
    return ours(known) || (Array.isArray(known.Single) && ours(known.Single))
  }

  function addTabs(resources, React) {
    const made = (name) => Object.assign(shell(React, name), { id: 'onedr', title: 'Disaster Recovery' })
    tabs.why = ''
    const places = { datastore: ['Datastore', 'DatastoreTab'], vm: ['VirtualMachine', 'VmTab'] }
    Object.keys(places).forEach((kind) => {
      try {
        tabs[kind] = addTab(resources[places[kind][0]], made(places[kind][1]))
        if (!tabs[kind]) tabs.why = 'this Sunstone keeps its tabs elsewhere'
      } catch (error) {
        tabs.why = String(error)
      }
    })
  }

  function decorated(container) {
    if (!container || container.onedr || typeof container.get !== 'function') return container
    return {
      onedr: true,
      init: function (shared, ...rest) {
        scope = scope || shared
        return container.init(shared, ...rest)
      },
      get: function (...what) {
        const React = library('react').catch((error) => {
          tabs.why = error.message
          return null
        })
        return Promise.all([container.get(...what), React]).then(([factory, found]) => () => {
          const resources = factory()
          if (found && resources) addTabs(resources, found)
          return resources
        })
      },
    }
  }

  function watch() {
    if (window.ResourcesModule) {
      window.ResourcesModule = decorated(window.ResourcesModule)
      return
    }
    let value
    Object.defineProperty(window, 'ResourcesModule', {
      configurable: true,
      enumerable: true,
      get: () => value,
      set: (given) => (value = decorated(given)),
    })
  }

  // -- what Sunstone calls --------------------------------------------------------------------------------

  try {
    if (window[NAME] && window[NAME].define) return // loaded a second time
    window[NAME] = {
      init: function (shared) {
        scope = scope || shared
      },
      get: function () {
        return library('react').then((React) => () => ({
          DisasterRecovery: shell(React, 'DisasterRecovery'),
        }))
      },
      // The other scripts come with this.
      define: function (part, factory) {
        factories[part] = factory
      },
    }
    watch()
  } catch (error) {
    console.warn('OneDR: no tabs in Sunstone:', error)
  }
})()
