import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { App } from "@/app/App";
import { Problem } from "@/lib/api";
import { applyTheme, chosenTheme } from "@/lib/theme";
import "@/app/tokens.css";
import "@/kit/kit.css";

/** The session has ended: whoever looks is asked for a token again. */
function askWhoLooks(error: Error): void {
  if (error instanceof Problem && error.status === 401)
    void client.invalidateQueries({ queryKey: ["session"] });
}

const client = new QueryClient({
  queryCache: new QueryCache({
    onError: (error, query) => {
      if (query.queryKey[0] !== "session") askWhoLooks(error);
    },
  }),
  mutationCache: new MutationCache({ onError: askWhoLooks }),
  defaultOptions: {
    queries: {
      // Live updates say when something is new; asking again by the clock is for verdicts alone, which change with time.
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      retry: (failures, error) =>
        failures < 2 && !(error instanceof Problem && error.status >= 400 && error.status < 500),
    },
  },
});

applyTheme(chosenTheme());

const root = document.getElementById("root");
if (root)
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <BrowserRouter>
          <App />
        </BrowserRouter>
      </QueryClientProvider>
    </StrictMode>,
  );
