/** The pages and what surrounds them. A page is loaded when it is opened. */

import { type JSX, lazy, Suspense } from "react";
import { Route, Routes } from "react-router";
import { Gate } from "@/app/Gate";
import { Shell } from "@/app/Shell";
import { Empty, Loading } from "@/kit/Notice";

const Board = lazy(() => import("@/pages/board/Board"));
const Asset = lazy(() => import("@/pages/asset/Asset"));
const Partitions = lazy(() => import("@/pages/partitions/Partitions"));
const Lineage = lazy(() => import("@/pages/lineage/Lineage"));
const Runs = lazy(() => import("@/pages/runs/Runs"));
const Run = lazy(() => import("@/pages/runs/Run"));
const Backfills = lazy(() => import("@/pages/backfills/Backfills"));
const Backfill = lazy(() => import("@/pages/backfills/Backfill"));
const Checks = lazy(() => import("@/pages/checks/Checks"));

export function App(): JSX.Element {
  return (
    <Gate>
      <Shell>
        <Suspense fallback={<Loading />}>
          <Routes>
            <Route path="/" element={<Board />} />
            <Route path="/asset" element={<Asset />} />
            <Route path="/partitions" element={<Partitions />} />
            <Route path="/lineage" element={<Lineage />} />
            <Route path="/runs" element={<Runs />} />
            <Route path="/runs/:id" element={<Run />} />
            <Route path="/backfills" element={<Backfills />} />
            <Route path="/backfills/:id" element={<Backfill />} />
            <Route path="/checks" element={<Checks />} />
            <Route path="*" element={<Empty page title="There is no such page" />} />
          </Routes>
        </Suspense>
      </Shell>
    </Gate>
  );
}
